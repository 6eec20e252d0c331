package session

import (
	"context"
	"sync"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/link"
)

// carrier is the connection that a session is on. A stream keeps the one it began with; a polled
// session goes on over another one when it breaks.
type carrier struct {
	dial func(ctx context.Context, address string) (*link.Link, error)

	// turn holds one token: only one call at a time dials.
	turn chan struct{}

	mu   sync.Mutex
	link *link.Link
}

func newCarrier(l *link.Link, dial func(context.Context, string) (*link.Link, error)) *carrier {
	return &carrier{link: l, dial: dial, turn: make(chan struct{}, 1)}
}

// current is the connection to call on, and to sign proofs for.
func (c *carrier) current() (*link.Link, gatewayv1.NodeServiceClient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link, gatewayv1.NewNodeServiceClient(c.link.Conn)
}

// replace dials the same gateway again, unless somebody else has replaced broken meanwhile.
func (c *carrier) replace(ctx context.Context, broken *link.Link) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l, _ := c.current(); l != broken {
		return nil
	}
	next, err := c.dial(ctx, broken.Address)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.link = next
	c.mu.Unlock()
	_ = broken.Close() // it is broken
	return nil
}

// close ends the connection.
func (c *carrier) close() {
	l, _ := c.current()
	_ = l.Close() // nothing is left to say over it
}
