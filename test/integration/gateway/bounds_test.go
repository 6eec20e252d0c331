package gateway_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// metric returns a counter or gauge with these label values, 0 if there is none.
func (i *instance) metric(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
	families, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var values []string
			for _, label := range m.GetLabel() {
				values = append(values, label.GetValue())
			}
			if strings.Join(values, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func (i *instance) refusedCount(t *testing.T, listener, reason string) float64 {
	t.Helper()
	return i.metric(t, "mooring_gateway_refused_total", listener, reason)
}

func (i *instance) openConnections(t *testing.T, listener string) int {
	t.Helper()
	return int(i.metric(t, "mooring_gateway_connections", listener))
}

// dial opens a connection from a loopback address and sends nothing. The gateway accepts connections
// in the order in which they are opened.
func (i *instance) dial(t *testing.T, listener, from string) net.Conn {
	t.Helper()
	pairing, node := i.Addresses()
	to := map[string]string{"pairing": pairing.String(), "node": node.String()}[listener]
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	c, err := dialer.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// awaitConnections waits until a listener has that many connections and has closed that many to make room.
func (i *instance) awaitConnections(t *testing.T, listener string, connections, madeRoom int) {
	t.Helper()
	soon.True(t, fmt.Sprintf("%d connections of the %s listener, and %d that made room", connections, listener, madeRoom), func() bool {
		return i.openConnections(t, listener) == connections && int(i.refusedCount(t, listener, "MadeRoom")) == madeRoom
	})
}

// dialTLS opens a connection of the pairing listener and completes its handshake.
func (i *instance) dialTLS(t *testing.T, from string) net.Conn {
	t.Helper()
	c := tls.Client(i.dial(t, "pairing", from), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13}) //nolint:gosec // a stranger
	if err := c.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// isOpen reports whether the gateway has kept a connection open.
func isOpen(t *testing.T, c net.Conn) bool {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := io.Copy(io.Discard, c)
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// unfinishedCall returns a call whose message lacks its last byte, in frames of that many bytes.
func unfinishedCall(t *testing.T, message, frame int) []byte {
	t.Helper()
	var b, block bytes.Buffer
	b.WriteString(http2.ClientPreface)
	frames, headers := http2.NewFramer(&b, nil), hpack.NewEncoder(&block)
	for name, value := range map[string]string{":method": "POST", ":scheme": "https", ":authority": "gateway.mooring",
		":path": "/mooring.gateway.v1.PairingService/BeginPairingSession", "content-type": "application/grpc", "te": "trailers"} {
		_ = headers.WriteField(hpack.HeaderField{Name: name, Value: value}) // cannot fail: it writes to memory, as all frames here
	}
	_ = frames.WriteSettings()
	_ = frames.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true})
	sent := make([]byte, 5+message-1)
	binary.BigEndian.PutUint32(sent[1:], uint32(message))
	for len(sent) > 0 {
		n := min(frame, len(sent))
		_ = frames.WriteData(1, false, sent[:n])
		sent = sent[n:]
	}
	return b.Bytes()
}

// A connection that stops in a phase before its proof is closed after the deadline of that phase.
func TestAConnectionThatStopsBeforeItsProofIsClosed(t *testing.T) {
	g := newGateway(t)
	send := func(c net.Conn, p []byte) {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	hello := []byte{22, 3, 1, 2, 0, 1, 0} // the beginning of a ClientHello
	g.dial(t, "pairing", "127.0.8.1")
	send(g.dial(t, "pairing", "127.0.8.2"), hello)
	send(g.dialTLS(t, "127.0.8.3"), unfinishedCall(t, 1000, 1000))
	g.dial(t, "node", "127.0.8.4")
	send(g.dial(t, "node", "127.0.8.5"), hello)
	for _, end := range []struct{ listener, reason string }{
		{"pairing", "Silent"}, {"pairing", "HandshakeTimeout"}, {"pairing", "ReceiveTimeout"}, {"node", "Silent"}, {"node", "HandshakeTimeout"},
	} {
		soon.True(t, end.listener+" "+end.reason, func() bool { return g.refusedCount(t, end.listener, end.reason) == 1 })
	}
	for _, listener := range []string{"pairing", "node"} {
		if open := g.openConnections(t, listener); open != 0 {
			t.Errorf("%d connections of the %s listener are open", open, listener)
		}
	}
}

// Silent connections of two addresses have every turn. Other connections wait, so each turn lasts a
// second. A machine pairs long before the ten seconds that a turn lasts without waiting
// connections.
func TestSilentConnectionsYieldTheirTurns(t *testing.T) {
	g := newGateway(t)
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	pairing, _ := g.Addresses()
	began := time.Now()
	for n := range 120 {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 8, byte(1+n%2))}}
		c, err := dialer.DialContext(t.Context(), "tcp", pairing.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	if _, err := g.machine(t).pair(t.Context(), code.Code); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("a machine paired in %s", took)
	if took > 8*time.Second {
		t.Errorf("a machine waited %s for the turns of silent connections", took)
	}
}

// An address beyond its share closes its own oldest connection. A full listener closes the oldest
// connection of the address with most of them. A quarter of the places is for addresses with a
// proof.
func TestAFullListenerMakesRoomWhereMostWait(t *testing.T) {
	g := newGateway(t, func(s *settings) { s.limits.PairingConnections, s.limits.TotalPairingConnections = 8, 16 })
	few := g.dial(t, "pairing", "127.0.8.1")
	var most []net.Conn
	for range 9 {
		most = append(most, g.dial(t, "pairing", "127.0.8.2"))
	}
	g.awaitConnections(t, "pairing", 9, 1) // 8 of one address and one of another
	if isOpen(t, most[0]) || !isOpen(t, most[1]) {
		t.Error("an address beyond its share did not close its own oldest connection")
	}
	for range 4 {
		g.dial(t, "pairing", "127.0.8.3")
	}
	g.awaitConnections(t, "pairing", 12, 2) // the places for all addresses
	if isOpen(t, most[1]) || !isOpen(t, few) {
		t.Error("the oldest connection of the address with most is open, or a connection of another address was closed for it")
	}
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	machine := g.machine(t)
	if _, err := machine.pair(t.Context(), code.Code); err != nil {
		t.Fatal(err)
	}
	g.awaitConnections(t, "pairing", 12, 3)
	for range 4 {
		g.dial(t, "pairing", "127.0.0.1")
	}
	g.awaitConnections(t, "pairing", 16, 3) // with the places reserved for addresses with a proof
}

// The connection of a machine that has proven its code is not closed for others of its address.
func TestAProvenConnectionMakesNoRoom(t *testing.T) {
	g := newGateway(t, func(s *settings) { s.limits.PairingConnections, s.limits.TotalPairingConnections = 4, 16 })
	p := startPairing(t, g)
	began, pace := time.Now(), time.NewTicker(20*time.Millisecond)
	defer pace.Stop()
	for time.Since(began) < 3*time.Second { // a connection that has just begun to pair is kept for 2 s
		g.dial(t, "pairing", "127.0.0.1")
		<-pace.C
	}
	if _, err := p.pollStatus(nil); err != nil {
		t.Errorf("the machine lost its connection: %v", err)
	}
}

// Unfinished bytes are bounded on a connection and over all connections. Over the second bound, the
// largest connection of the address with most bytes is closed.
func TestUnfinishedBytesAreBounded(t *testing.T) {
	g := newGateway(t)
	// Each byte costs a frame. A connection may be closed before its end.
	_, _ = g.dialTLS(t, "127.0.8.1").Write(unfinishedCall(t, 1000, 1))
	soon.True(t, "the connection to be closed for its bytes", func() bool { return g.refusedCount(t, "pairing", "UnfinishedBytes") == 1 })

	most := func() { _, _ = g.dialTLS(t, "127.0.8.3").Write(unfinishedCall(t, 500, 1)) }
	for range 40 { // nearly the bound of all connections
		most()
	}
	largest := g.dialTLS(t, "127.0.8.2")
	_, _ = largest.Write(unfinishedCall(t, 620, 1))
	soon.True(t, "the bytes of all to be bounded", func() bool {
		most()
		return g.refusedCount(t, "pairing", "ReceiveBudget") >= 3
	})
	if !isOpen(t, largest) {
		t.Error("the largest connection was closed, though another address holds most")
	}
}

// The node listener bounds the bytes of a client before its certificate is complete.
func TestACertificateWithoutEndIsRefused(t *testing.T) {
	g := newGateway(t)
	endless := tls.Certificate{Certificate: [][]byte{make([]byte, 261_000)}, PrivateKey: identitytest.NewKey(t)}
	c := tls.Client(g.dial(t, "node", "127.0.8.1"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, //nolint:gosec // a stranger
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{endless}})
	_ = c.HandshakeContext(t.Context())
	soon.True(t, "the handshake to be refused", func() bool { return g.refusedCount(t, "node", "HandshakeTooLarge") == 1 })
}

// A machine with a certificate does not count in the limit of connections before their proof.
func TestMachinesHoldNoPlacesOfStrangers(t *testing.T) {
	g := newGateway(t, func(s *settings) { s.limits.NodeConnections, s.limits.TotalNodeConnections = 2, 4 })
	for n := range 6 {
		id := identity.ID{TrustDomain: trustDomain, Namespace: "fleet", Node: fmt.Sprintf("box-%d", n)}
		c := tls.Client(g.dial(t, "node", "127.0.8.1"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, //nolint:gosec // only the client matters
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{g.deviceCA.IssueDeviceTLS(t, id)}})
		if err := c.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 9)); err != nil {
			t.Fatalf("machine %d is not served: %v", n, err)
		}
	}
	g.awaitConnections(t, "node", 6, 0)
	for range 3 {
		g.dial(t, "node", "127.0.8.2")
	}
	g.awaitConnections(t, "node", 8, 1) // two connections without a proof and the machines
}

// The device CA may also sign for other clusters.
func TestAMachineOfAnotherTrustDomainIsRefused(t *testing.T) {
	g := newGateway(t)
	for domain, served := range map[string]bool{trustDomain: true, "other." + trustDomain: false} {
		id := identity.ID{TrustDomain: domain, Namespace: "fleet", Node: "box"}
		c := tls.Client(g.dial(t, "node", "127.0.8.1"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, //nolint:gosec // only the client matters
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{g.deviceCA.IssueDeviceTLS(t, id)}})
		if err := c.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 9)); (err == nil) != served {
			t.Errorf("a machine of %s: %v, want it served: %t", domain, err, served)
		}
	}
}

// A connection of the pairing listener without a call is closed.
func TestAnIdleStrangerIsClosed(t *testing.T) {
	g := newGateway(t, func(s *settings) { s.limits.PairingIdle = time.Second })
	c := g.dialTLS(t, "127.0.8.1")
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	_ = http2.NewFramer(&b, nil).WriteSettings() // cannot fail: it writes to memory
	if _, err := c.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	soon.True(t, "the idle connection to be closed", func() bool { return g.openConnections(t, "pairing") == 0 })
}
