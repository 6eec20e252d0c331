package session

import (
	"context"
	"sync"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// sessionLink holds the connection of a session. A stream keeps its first connection; a polled
// session continues over another one when a connection breaks.
type sessionLink struct {
	dial func(ctx context.Context, broken *link.Link) (*link.Link, error)

	// dialToken holds one token, so that only one call at a time dials.
	dialToken chan struct{}

	mu   sync.Mutex
	link *link.Link
}

func newSessionLink(l *link.Link, dial func(context.Context, *link.Link) (*link.Link, error)) *sessionLink {
	return &sessionLink{link: l, dial: dial, dialToken: make(chan struct{}, 1)}
}

// current returns the connection for calls and for signing proofs, with its client.
func (c *sessionLink) current() (*link.Link, gatewayv1.NodeServiceClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link, gatewayv1.NewNodeServiceClient(c.link.Conn)
}

// redial dials the same gateway again, unless another call has replaced broken meanwhile.
func (c *sessionLink) redial(ctx context.Context, broken *link.Link) error {
	select {
	case c.dialToken <- struct{}{}:
		defer func() { <-c.dialToken }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l, _ := c.current(); l != broken {
		return nil
	}
	next, err := c.dial(ctx, broken)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.link = next
	c.mu.Unlock()
	_ = broken.Close() // the error is of no use: the connection is broken
	return nil
}

// close ends the connection.
func (c *sessionLink) close() {
	l, _ := c.current()
	_ = l.Close() // the error is of no use: nothing more is sent
}
