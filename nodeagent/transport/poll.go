package transport

import (
	"context"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

const (
	// pollTimeout is longer than the 30 seconds for which a gateway holds a poll. reportTimeout
	// is for a report, which a gateway answers at once.
	pollTimeout   = 45 * time.Second
	reportTimeout = 30 * time.Second
	// MaxReportMessages bounds the messages of one report.
	MaxReportMessages = 32
	// MaxReportBytes bounds one report approximately. A gateway accepts 512 KiB, and one result may
	// have 256 KiB.
	MaxReportBytes = 128 << 10
	// maxBrokenCalls is the number of failed calls in a row that ends a polled session: the gateway
	// or its network is gone. A call that lasted at least minHealthyCall resets the count.
	maxBrokenCalls = 3
	minHealthyCall = 300 * time.Millisecond
)

// pollConn is a session over polls. It repeats a poll or report of a broken connection on a new
// connection to the same gateway. The gateway may therefore receive a report twice, and the gateway
// repeats messages that the agent did not acknowledge. Both sides identify a dispatch by its UID.
type pollConn struct {
	link   *SessionLink
	jitter func() float64
	now    func() time.Time
	ctx    context.Context // of the session
	id     string
	inbox  []*gatewayv1.StreamNodeEventsResponse
	// sequence is the number of the last answer that arrived.
	sequence uint64
}

func (c *pollConn) Open(ctx context.Context, hello *gatewayv1.StreamNodeEventsRequest) (*gatewayv1.Welcome, error) {
	c.ctx = ctx
	_, client := c.link.Current()
	first, err := client.PollDispatch(ctx, &gatewayv1.PollDispatchRequest{Hello: hello.GetHello()})
	if err != nil {
		return nil, err
	}
	messages := first.GetMessages()
	if len(messages) == 0 || messages[0].GetWelcome() == nil {
		return nil, errNoWelcome
	}
	c.id, c.inbox, c.sequence = first.GetSessionId(), messages[1:], first.GetSequence()
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
	return c.callWithRetry(pollTimeout, func(ctx context.Context, client gatewayv1.NodeServiceClient) error {
		answer, err := client.PollDispatch(ctx, &gatewayv1.PollDispatchRequest{SessionId: c.id, Acknowledged: c.sequence})
		if err == nil {
			c.inbox, c.sequence = answer.GetMessages(), answer.GetSequence()
		}
		return err
	})
}

func (c *pollConn) Send(messages []*gatewayv1.StreamNodeEventsRequest) error {
	return c.callWithRetry(reportTimeout, func(ctx context.Context, client gatewayv1.NodeServiceClient) error {
		_, err := client.ReportResult(ctx, &gatewayv1.ReportResultRequest{SessionId: c.id, Messages: messages})
		return err
	})
}

// callWithRetry makes a call and repeats it while the connection fails. A refusal by the gateway
// ends it.
func (c *pollConn) callWithRetry(timeout time.Duration, do func(context.Context, gatewayv1.NodeServiceClient) error) error {
	for failed := 1; ; failed++ {
		l, client := c.link.Current()
		began := c.now()
		ctx, cancel := context.WithTimeout(c.ctx, timeout)
		err := do(ctx, client)
		timedOut := ctx.Err() != nil
		cancel()
		if !timedOut && c.now().Sub(began) >= minHealthyCall {
			failed = 0
		}
		if err == nil || !IsConnectionBreak(err) || failed == maxBrokenCalls || c.ctx.Err() != nil {
			return err
		}
		// The pause is random, because the same failure may have broken other machines' connections.
		if backoff.Sleep(c.ctx, time.Duration(c.jitter()*float64(time.Second))) != nil || c.link.redial(c.ctx, l) != nil {
			return err
		}
	}
}

// CloseSend does nothing. The Stopping message, sent before, ends the session, and the waiting poll
// returns that end.
func (c *pollConn) CloseSend() {}
