package gateway

import (
	"container/list"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxHandshakeBytes bounds the bytes of a client in its handshake: a ClientHello has 2 KiB, a chain
	// of certificates at most 6.
	maxHandshakeBytes = 16 << 10
	// maxRecordBytes bounds the bytes of a client that yield no data: one TLS record
	// (RFC 8446, section 5.2: 2^14 + 256 bytes and its header) and a little.
	maxRecordBytes = 20 << 10
	// firstBytes is how much of a connection is read before its turn begins: the header of a record.
	firstBytes = 5
)

// errHandshakeTooLarge and errRecordTooLarge end a connection whose bytes lead to nothing.
var (
	errHandshakeTooLarge = errors.New("the client's part of the TLS handshake is too large")
	errRecordTooLarge    = errors.New("the client sends TLS records without data")
)

// limitedConn is a connection that holds places until it is closed. Its TLS may keep only so many
// bytes that it has not delivered.
type limitedConn struct {
	net.Conn
	listener *limitedListener
	source   netip.Prefix
	accepted time.Time
	spoken   atomic.Bool // the first byte has come

	// Used by the reader alone. The handshake, grpc's reader and what comes before them read one
	// after the other.
	first   []byte // read already, before the handshake
	backlog int    // bytes since the last delivery
	proven  bool   // the handshake is over

	// Guarded by places.mu.
	placed   bool
	waiting  *list.Element
	advanced time.Time
	// Guarded by turns.mu.
	queued *list.Element

	mu       sync.Mutex
	closed   bool
	inbound  *inbound // after the handshake
	releases []func()
}

// Read reads no more than TLS may keep.
func (c *limitedConn) Read(p []byte) (n int, err error) {
	most, tooLarge := maxHandshakeBytes, errHandshakeTooLarge
	if c.proven {
		most, tooLarge = maxRecordBytes, errRecordTooLarge
	}
	if c.backlog >= most {
		return 0, tooLarge
	}
	p = p[:min(len(p), most-c.backlog)]
	if len(c.first) > 0 {
		n = copy(p, c.first)
		if c.first = c.first[n:]; len(c.first) == 0 {
			c.first = nil
		}
	} else {
		n, err = c.Conn.Read(p)
	}
	c.backlog += n
	return n, err
}

// decrypted returns the connection as grpc reads it, once its handshake is over.
func (c *limitedConn) decrypted(conn net.Conn) *inbound {
	c.backlog, c.proven = 0, true
	budget := c.listener.budget
	in := &inbound{Conn: conn, raw: c, budget: budget, limit: budget.perConnection}
	budget.add(in)
	c.mu.Lock()
	closed := c.closed
	c.inbound = in
	c.mu.Unlock()
	if closed {
		budget.remove(in)
	}
	return in
}

// Advance is part of peer.Progress.
func (c *limitedConn) Advance() { c.listener.places.advance(c, time.Now()) }

// Prove is part of peer.Progress.
func (c *limitedConn) Prove() {
	c.listener.places.prove(c)
	c.listener.places.admit(c.source, time.Now())
}

// delivered records that the bytes that were read yielded data.
func (c *limitedConn) delivered() { c.backlog = 0 }

// greet waits for the first bytes of the client.
func (c *limitedConn) greet() error {
	first := make([]byte, firstBytes)
	n, err := io.ReadAtLeast(c.Conn, first, 1)
	c.first = first[:n]
	c.spoken.Store(n > 0)
	return err
}

// onClose gives back one more place when the connection is closed, at once if it is.
func (c *limitedConn) onClose(release func()) {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.releases = append(c.releases, release)
	}
	c.mu.Unlock()
	if closed {
		release()
	}
}

func (c *limitedConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Close gives the places back, once.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	closed, releases := c.closed, c.releases
	c.closed, c.releases = true, nil
	in := c.inbound
	c.mu.Unlock()
	if closed {
		return err
	}
	for _, release := range releases {
		release()
	}
	if in != nil {
		in.budget.remove(in)
	}
	c.listener.left(c)
	return err
}

// abort closes without waiting: no FIN_WAIT for connections that were refused.
func (c *limitedConn) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
