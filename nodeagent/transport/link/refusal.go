package link

import (
	"errors"
	"net"
	"sync"
)

// Refusal is the error of a connection that the gateway ended before it sent any data.
type Refusal struct {
	// Alert is true for a refusal by TLS alert. Without an alert the gateway may also have crashed
	// or lost its network.
	Alert bool
	Cause error
}

func (r *Refusal) Error() string {
	if r.Alert {
		return r.Cause.Error()
	}
	return "connection closed after the handshake: " + r.Cause.Error()
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// watchedConn keeps the error with which a connection failed; grpc would turn it into text.
type watchedConn struct {
	net.Conn
	mu       sync.Mutex
	received bool
	failure  *Refusal
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.observe(n > 0, err)
	return n, err
}

func (c *watchedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.observe(false, err)
	return n, err
}

// observe keeps the first failure. An alert replaces any other failure.
func (c *watchedConn) observe(received bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received = c.received || received
	if err == nil || errors.Is(err, net.ErrClosed) {
		return
	}
	opErr := (*net.OpError)(nil)
	alert := errors.As(err, &opErr) && opErr.Op == "remote error"
	switch {
	case alert:
		c.failure = &Refusal{Alert: true, Cause: opErr.Err}
	case !c.received && c.failure == nil:
		c.failure = &Refusal{Cause: err}
	}
}

func (c *watchedConn) refusal() *Refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}
