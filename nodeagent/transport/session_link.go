package transport

import (
	"context"
	"sync"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/transport/link"
)

// SessionLink holds the connection of a session. A stream keeps its first connection; a polled
// session continues over another one when a connection breaks.
type SessionLink struct {
	dial func(ctx context.Context, broken *link.Link) (*link.Link, error)

	// dialToken holds one token, so that only one call at a time dials.
	dialToken chan struct{}

	mu   sync.Mutex
	link *link.Link
}

// NewSessionLink returns the SessionLink of a session that begins on l. dial opens another connection
// to the gateway of a broken one.
func NewSessionLink(l *link.Link, dial func(context.Context, *link.Link) (*link.Link, error)) *SessionLink {
	return &SessionLink{link: l, dial: dial, dialToken: make(chan struct{}, 1)}
}

// Current returns the connection for calls and for signing proofs, with its client.
func (c *SessionLink) Current() (*link.Link, gatewayv1.NodeServiceClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link, gatewayv1.NewNodeServiceClient(c.link.Conn)
}

// redial dials the same gateway again, unless another call has replaced broken meanwhile.
func (c *SessionLink) redial(ctx context.Context, broken *link.Link) error {
	select {
	case c.dialToken <- struct{}{}:
		defer func() { <-c.dialToken }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l, _ := c.Current(); l != broken {
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

// Close ends the connection.
func (c *SessionLink) Close() {
	l, _ := c.Current()
	_ = l.Close() // the error is of no use: nothing more is sent
}
