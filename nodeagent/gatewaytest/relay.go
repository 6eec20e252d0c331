package gatewaytest

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
)

// Relay starts a man in the middle. It ends TLS with a certificate of its own, and passes every
// byte on to the real pairing listener over a second TLS connection.
func Relay(t testing.TB, g *Gateway) (endpoint string) {
	t.Helper()
	certificate := NewCA(t, "relay").Server(t)
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
			running.Go(func() { relay(victim, g.PairingEndpoint) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func relay(victim net.Conn, target string) {
	defer victim.Close()
	onward, err := tls.Dial("tcp", target, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		return
	}
	defer onward.Close()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(onward, victim)
		onward.Close()
	})
	_, _ = io.Copy(victim, onward)
	victim.Close()
	copying.Wait()
}
