package fakegateway

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

// StartRelay starts a man in the middle. It ends TLS with a certificate of its own, and passes
// every byte on to the real pairing listener over a second TLS connection.
func StartRelay(t testing.TB, g *Gateway) (endpoint string) {
	t.Helper()
	certificate := NewCA(t, "relay").IssueServer(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			victim, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { relayConn(victim, g.PairingEndpoint) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func relayConn(victim net.Conn, target string) {
	defer victim.Close()
	upstream, err := tls.Dial("tcp", target, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return
	}
	defer upstream.Close()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(upstream, victim)
		upstream.Close()
	})
	_, _ = io.Copy(victim, upstream)
	victim.Close()
	copying.Wait()
}
