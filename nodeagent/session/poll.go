package session

import (
	"context"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

const (
	// pollTimeout is more than the 30 seconds a gateway holds a poll, reportTimeout is
	// for a report, which it answers at once.
	pollTimeout   = 45 * time.Second
	reportTimeout = 30 * time.Second
	// maxReport bounds the messages and about the bytes of one report; a gateway takes
	// 512 KiB, and one result may have 256 KiB.
	maxReportMessages = 32
	maxReportBytes    = 128 << 10
)

// pollConn is a session over polls. A poll or report that fails ends it: what a lost
// answer carried is known to neither side, and only a new Hello sorts that out.
type pollConn struct {
	client gatewayv1.NodeServiceClient
	ctx    context.Context // of the session
	id     string
	inbox  []*gatewayv1.StreamNodeEventsResponse
}

func (c *pollConn) Open(ctx context.Context, hello *gatewayv1.StreamNodeEventsRequest) (*gatewayv1.Welcome, error) {
	c.ctx = ctx
	first, err := c.client.PollDispatch(ctx, &gatewayv1.PollDispatchRequest{Hello: hello.GetHello()})
	if err != nil {
		return nil, err
	}
	messages := first.GetMessages()
	if len(messages) == 0 || messages[0].GetWelcome() == nil {
		return nil, errNoWelcome
	}
	c.id, c.inbox = first.GetSessionId(), messages[1:]
	return messages[0].GetWelcome(), nil
}

func (c *pollConn) Recv() (*gatewayv1.StreamNodeEventsResponse, error) {
	for len(c.inbox) == 0 {
		if err := c.poll(); err != nil {
			return nil, err
		}
	}
	next := c.inbox[0]
	c.inbox = c.inbox[1:]
	return next, nil
}

func (c *pollConn) poll() error {
	ctx, cancel := context.WithTimeout(c.ctx, pollTimeout)
	defer cancel()
	answer, err := c.client.PollDispatch(ctx, &gatewayv1.PollDispatchRequest{SessionId: c.id})
	c.inbox = answer.GetMessages()
	return err
}

func (c *pollConn) Send(messages []*gatewayv1.StreamNodeEventsRequest) error {
	ctx, cancel := context.WithTimeout(c.ctx, reportTimeout)
	defer cancel()
	_, err := c.client.ReportResult(ctx, &gatewayv1.ReportResultRequest{SessionId: c.id, Messages: messages})
	return err
}

// CloseSend has nothing to close: Stopping, sent before, ends the session, and the poll
// that waits says so.
func (c *pollConn) CloseSend() {}
