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
	// Open sends Hello and returns the Welcome.
	Open(ctx context.Context, hello *gatewayv1.StreamNodeEventsRequest) (*gatewayv1.Welcome, error)
	// Recv waits for the next message of the gateway.
	Recv() (*gatewayv1.StreamNodeEventsResponse, error)
	// Send sends messages in order.
	Send(messages []*gatewayv1.StreamNodeEventsRequest) error
	// CloseSend ends the sending; the gateway then ends the session.
	CloseSend()
}

// Transport is the way in which sessions are carried.
type Transport string

// The transports.
const (
	// TransportStream is one bidirectional stream.
	TransportStream Transport = "stream"
	// TransportPoll is long polls, for networks that break streams.
	TransportPoll Transport = "poll"
	// TransportAuto is streams until they break too often, then polls. It returns to streams when
	// they last.
	TransportAuto Transport = "auto"
)

const (
	// maxBrokenStreams is the number of broken streams in a row after which auto polls.
	maxBrokenStreams = 3
	// DefaultStreamProbe is the time for which auto polls before it tries a stream. The time
	// doubles with every stream that breaks again, up to maxStreamProbe.
	DefaultStreamProbe = 10 * time.Minute
	maxStreamProbe     = 6 * time.Hour
)

// transportChooser chooses the transport of the next session.
type transportChooser struct {
	configured Transport
	// firstProbe bounds the first polled session.
	firstProbe time.Duration
	// broken counts the broken streams in a row; at maxBrokenStreams polls begin.
	broken int
	// probe bounds the next polled session.
	probe time.Duration
}

// nextTransport returns the transport of the next session. until is the time after which a stream
// is tried again; 0 means never.
func (c *transportChooser) nextTransport() (t Transport, until time.Duration) {
	switch {
	case c.configured == TransportPoll:
		return TransportPoll, 0
	case c.configured == TransportAuto && c.broken >= maxBrokenStreams:
		return TransportPoll, c.probe
	default:
		return TransportStream, 0
	}
}

// sessionEnded records the end of a session: its transport, its length and its error.
func (c *transportChooser) sessionEnded(t Transport, reached bool, duration time.Duration, err error) {
	switch {
	case t == TransportPoll && errors.Is(err, errProbe):
		c.broken = maxBrokenStreams - 1 // the next session is a stream; if it breaks, polls follow
	case t == TransportPoll:
	case duration >= stableDuration:
		c.broken, c.probe = 0, 0
	case reached && isConnectionBreak(err):
		if c.broken++; c.broken >= maxBrokenStreams {
			c.probe = min(max(2*c.probe, c.firstProbe), maxStreamProbe)
		}
	}
}

// isConnectionBreak reports whether the network may have broken a session. It returns false when
// the gateway refused the session or either side ended it on purpose.
func isConnectionBreak(err error) bool {
	var drain *drainError
	if errors.Is(err, errRenewed) || errors.Is(err, errStopped) || errors.As(err, &drain) {
		return false
	}
	if len(status.Convert(err).Details()) > 0 {
		return false // A broken connection carries no details, so the status comes from the gateway.
	}
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.Aborted, codes.InvalidArgument, codes.FailedPrecondition, codes.ResourceExhausted:
		return false
	default:
		return true
	}
}

// errProbe ends a polled session in order to try a stream.
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
