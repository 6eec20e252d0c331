// Package transport carries the messages of a session over a stream or over polls, and chooses
// between the two. The packages below it open connections and space out tries.
package transport

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// Kind is the way in which sessions are carried.
type Kind string

// The kinds.
const (
	// Stream is one bidirectional stream.
	Stream Kind = "stream"
	// Poll is long polls, for networks that break streams.
	Poll Kind = "poll"
	// Auto is streams until they break too often, then polls. It returns to streams when they last.
	Auto Kind = "auto"
)

// Conn carries the messages of a session.
type Conn interface {
	// Open sends Hello and returns the Welcome.
	Open(ctx context.Context, hello *gatewayv1.StreamNodeEventsRequest) (*gatewayv1.Welcome, error)
	// Recv waits for the next message of the gateway.
	Recv() (*gatewayv1.StreamNodeEventsResponse, error)
	// Send sends messages in order, at most the bounds of one report.
	Send(messages []*gatewayv1.StreamNodeEventsRequest) error
	// CloseSend ends the sending; the gateway then ends the session.
	CloseSend()
}

// NewConn returns a Conn over polls for Poll, otherwise over a stream. jitter returns a random number
// in [0, 1), and now may be any clock.
func NewConn(kind Kind, link *SessionLink, jitter func() float64, now func() time.Time) Conn {
	if kind == Poll {
		return &pollConn{link: link, jitter: jitter, now: now}
	}
	return &streamConn{link: link}
}

// IsConnectionBreak reports whether the network may have broken a connection. It returns false when
// the gateway refused the session.
func IsConnectionBreak(err error) bool {
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
