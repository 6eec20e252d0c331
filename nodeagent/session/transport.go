package session

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// conn carries the messages of a session, over a stream or over polls.
type conn interface {
	// Open says Hello and returns the Welcome.
	Open(ctx context.Context, hello *gatewayv1.StreamNodeEventsRequest) (*gatewayv1.Welcome, error)
	// Recv waits for the next message of the gateway.
	Recv() (*gatewayv1.StreamNodeEventsResponse, error)
	// Send sends messages in order.
	Send(messages []*gatewayv1.StreamNodeEventsRequest) error
	// CloseSend: nothing more is sent; the gateway ends the session.
	CloseSend()
}

// Transport is how sessions are carried.
type Transport string

// The transports.
const (
	// TransportStream is one bidirectional stream.
	TransportStream Transport = "stream"
	// TransportPoll is long polls, for networks that break streams.
	TransportPoll Transport = "poll"
	// TransportAuto is streams until they break too often, then polls, and streams again
	// when they last.
	TransportAuto Transport = "auto"
)

const (
	// brokenStreams in a row make auto poll.
	brokenStreams = 3
	// DefaultStreamProbe is how long auto polls before it tries a stream; the time doubles
	// with every stream that breaks again, up to lastProbe.
	DefaultStreamProbe = 10 * time.Minute
	lastProbe          = 6 * time.Hour
)

// chooser decides about the transport of the next session.
type chooser struct {
	want Transport
	// first is how long the first polled session may last.
	first time.Duration
	// broken counts streams that broke in a row; at brokenStreams polls begin.
	broken int
	// probe is how long the polled session may last.
	probe time.Duration
}

// next is the transport of the next session; until is how long it may last before a
// stream is tried again, 0 for ever.
func (c *chooser) next() (t Transport, until time.Duration) {
	switch {
	case c.want == TransportPoll:
		return TransportPoll, 0
	case c.want == TransportAuto && c.broken >= brokenStreams:
		return TransportPoll, c.probe
	default:
		return TransportStream, 0
	}
}

// ended takes in how a session ended.
func (c *chooser) ended(t Transport, reached bool, lasted time.Duration, err error) {
	switch {
	case t == TransportPoll && errors.Is(err, errProbe):
		c.broken = brokenStreams - 1 // one stream; if it breaks, polls again
	case t == TransportPoll:
	case lasted >= stable:
		c.broken, c.probe = 0, 0
	case reached && isBreak(err):
		if c.broken++; c.broken >= brokenStreams {
			c.probe = min(max(2*c.probe, c.first), lastProbe)
		}
	}
}

// isBreak tells a stream that the network may have broken from one that the gateway
// refused or either side ended on purpose.
func isBreak(err error) bool {
	var drain *drained
	if errors.Is(err, errRenewed) || errors.Is(err, errStopped) || errors.As(err, &drain) {
		return false
	}
	if len(status.Convert(err).Details()) > 0 {
		return false // No broken connection carries details: the gateway said it.
	}
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.Aborted, codes.InvalidArgument, codes.FailedPrecondition, codes.ResourceExhausted:
		return false
	default:
		return true
	}
}

// errProbe ends a polled session to try a stream.
var errProbe = errors.New("a stream is tried again")

// streamConn is a session over a stream.
type streamConn struct {
	client gatewayv1.NodeServiceClient
	wire   gatewayv1.NodeService_StreamNodeEventsClient
}

func (c *streamConn) Open(ctx context.Context, hello *gatewayv1.StreamNodeEventsRequest) (*gatewayv1.Welcome, error) {
	var err error
	if c.wire, err = c.client.StreamNodeEvents(ctx); err != nil {
		return nil, err
	}
	if err := c.wire.Send(hello); err != nil {
		_, err = c.wire.Recv() // the status is there, Send only says EOF
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

func (c *streamConn) CloseSend() { _ = c.wire.CloseSend() } // it never errs
