package transport

import (
	"context"
	"errors"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

var errNoWelcome = errors.New("the gateway did not answer Hello with Welcome")

// streamConn is a session over a stream.
type streamConn struct {
	link *SessionLink
	wire gatewayv1.NodeService_StreamNodeEventsClient
}

func (c *streamConn) Open(ctx context.Context, hello *gatewayv1.StreamNodeEventsRequest) (*gatewayv1.Welcome, error) {
	var err error
	_, client := c.link.Current()
	if c.wire, err = client.StreamNodeEvents(ctx); err != nil {
		return nil, err
	}
	if err := c.wire.Send(hello); err != nil {
		_, err = c.wire.Recv() // Recv returns the status; Send returns only EOF
		return nil, err
	}
	first, err := c.wire.Recv()
	if err != nil {
		return nil, err
	}
	if first.GetWelcome() == nil {
		return nil, errNoWelcome
	}
	return first.GetWelcome(), nil
}

func (c *streamConn) Recv() (*gatewayv1.StreamNodeEventsResponse, error) { return c.wire.Recv() }

func (c *streamConn) Send(messages []*gatewayv1.StreamNodeEventsRequest) error {
	for _, m := range messages {
		if err := c.wire.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (c *streamConn) CloseSend() { _ = c.wire.CloseSend() } // it never returns an error
