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
	// maxHandshakeBytes bounds the bytes that a client may send in its handshake. A ClientHello has
	// 2 KiB, a certificate chain at most 6 KiB.
	maxHandshakeBytes = 16 << 10
	// maxRecordBytes bounds the bytes that a client may send without yielding data. It is the size
	// of one TLS record (RFC 8446, section 5.2: 2^14 + 256 bytes and its header) and a small
	// margin.
	maxRecordBytes = 20 << 10
	// firstBytes is the number of bytes read before the TLS handshake begins: the header of a
	// record.
	firstBytes = 5
)

// errHandshakeTooLarge and errRecordTooLarge end a connection that sends too many bytes without
// data.
var (
	errHandshakeTooLarge = errors.New("the client's part of the TLS handshake is too large")
	errRecordTooLarge    = errors.New("the client sends TLS records without data")
)

// limitedConn is a connection that counts in the limits of its listener until it is closed. It
// bounds the bytes that TLS may buffer without delivering data.
type limitedConn struct {
	net.Conn
	listener          *limitedListener
	source            netip.Prefix
	accepted          time.Time
	firstByteReceived atomic.Bool // the first byte was received

	// Only the reader uses these fields. readFirstBytes, the handshake and grpc's reader read one
	// after the other.
	first         []byte // bytes read before the handshake
	backlog       int    // bytes read since the last delivery of data
	handshakeDone bool   // the handshake is over

	// Guarded by connSlots.mu.
	counted        bool
	waitingElement *list.Element
	advancedAt     time.Time
	// Guarded by handshakeScheduler.mu.
	queueElement *list.Element

	mu       sync.Mutex
	closed   bool
	metered  *meteredConn // nil before the end of the handshake
	releases []func()
}

// Read reads at most as many bytes as TLS may buffer.
func (c *limitedConn) Read(p []byte) (n int, err error) {
	limit, tooLarge := maxHandshakeBytes, errHandshakeTooLarge
	if c.handshakeDone {
		limit, tooLarge = maxRecordBytes, errRecordTooLarge
	}
	if c.backlog >= limit {
		return 0, tooLarge
	}
	p = p[:min(len(p), limit-c.backlog)]
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

// newMeteredConn returns the decrypted connection for grpc. The handshake must be over.
func (c *limitedConn) newMeteredConn(conn net.Conn) *meteredConn {
	c.backlog, c.handshakeDone = 0, true
	budget := c.listener.budget
	in := &meteredConn{Conn: conn, raw: c, budget: budget, limit: budget.perConnection}
	budget.add(in)
	c.mu.Lock()
	closed := c.closed
	c.metered = in
	c.mu.Unlock()
	if closed {
		budget.remove(in)
	}
	return in
}

// MarkAdvanced implements peer.Progress.
func (c *limitedConn) MarkAdvanced() { c.listener.slots.markAdvanced(c, time.Now()) }

// MarkProven implements peer.Progress.
func (c *limitedConn) MarkProven() {
	c.listener.slots.markProven(c)
	c.listener.slots.rememberProven(c.source, time.Now())
}

// resetBacklog records that the bytes read so far have yielded data.
func (c *limitedConn) resetBacklog() { c.backlog = 0 }

// readFirstBytes waits for the first bytes of the client.
func (c *limitedConn) readFirstBytes() error {
	first := make([]byte, firstBytes)
	n, err := io.ReadAtLeast(c.Conn, first, 1)
	c.first = first[:n]
	c.firstByteReceived.Store(n > 0)
	return err
}

// onClose registers a function that releases a limit when the connection is closed. It calls the
// function at once if the connection is closed already.
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

// Close closes the connection and releases its limits once.
func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.mu.Lock()
	closed, releases := c.closed, c.releases
	c.closed, c.releases = true, nil
	in := c.metered
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
	c.listener.handleClosed(c)
	return err
}

// abort closes the connection with a TCP reset, so that a refused connection leaves no FIN_WAIT
// state.
func (c *limitedConn) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
