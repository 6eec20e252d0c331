package link

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// maxAnswerBytes is the approximate maximum size of one answer to a poll. An agent accepts
// messages of 4 MiB, the default of gRPC. A single message is smaller than 1 MiB: an input has at
// most dispatch.MaxInputBytes, and the CA bundle fits into a ConfigMap.
const maxAnswerBytes = 1 << 20

// pollTimeout is the time that a poll waits for messages. It is shorter than the silence that ends a
// session.
const pollTimeout = 30 * time.Second

var (
	errUnknownSession = denial.New(codes.FailedPrecondition, gatewayv1.ReasonSessionUnknown, "unknown session id; say Hello again")
	errPollReplaced   = status.Error(codes.Canceled, "a newer poll replaced this one")
)

// PollConn is the Conn of a session over polls. It keeps the messages between two polls.
type PollConn struct {
	clock clock.Clock
	owner peer.Identity
	in    chan *gatewayv1.StreamNodeEventsRequest
	// ended is closed when the session has ended, after err was set.
	ended chan struct{}
	err   error
	wake  chan struct{}

	mu  sync.Mutex
	out []*gatewayv1.StreamNodeEventsResponse
	// sent holds the messages of the last answer, which may not have arrived. sequence counts the
	// answers with messages.
	sent     []*gatewayv1.StreamNodeEventsResponse
	sequence uint64
	// replaced is closed when a newer poll replaces the waiting one.
	replaced chan struct{}
}

// NewPollConn returns the PollConn of a session of the machine owner.
func NewPollConn(c clock.Clock, owner peer.Identity) *PollConn {
	return &PollConn{clock: c, owner: owner, in: make(chan *gatewayv1.StreamNodeEventsRequest), ended: make(chan struct{}),
		wake: make(chan struct{}, 1), replaced: make(chan struct{})}
}

// Recv returns the next message of the machine to the session.
func (c *PollConn) Recv() (*gatewayv1.StreamNodeEventsRequest, error) {
	select {
	case m := <-c.in:
		return m, nil
	case <-c.ended:
		return nil, io.EOF
	}
}

// Send queues a message for the next poll. It returns an error if the machine does not poll.
func (c *PollConn) Send(m *gatewayv1.StreamNodeEventsResponse) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent)+len(c.out) >= maxUnsent {
		return errMachineNotReading
	}
	c.out = append(c.out, m)
	c.notify()
	return nil
}

// notify wakes the waiting poll. The caller must hold mu.
func (c *PollConn) notify() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// startPoll starts a poll of a machine that has received all answers up to acknowledged. It queues
// the messages of a lost answer again. It ends a poll that still waits, because that poll was on
// a broken connection.
func (c *PollConn) startPoll(acknowledged uint64) (replaced <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if acknowledged != 0 && acknowledged < c.sequence {
		c.out = append(c.sent, c.out...)
	}
	c.sent = nil
	close(c.replaced)
	c.replaced = make(chan struct{})
	if len(c.out) > 0 {
		c.notify()
	}
	return c.replaced
}

// fittingMessages returns the number of messages for one answer: at least one, and no more than fit
// into maxAnswerBytes.
func fittingMessages(messages []*gatewayv1.StreamNodeEventsResponse) int {
	bytes := 0
	for i, m := range messages {
		if bytes += proto.Size(m); i > 0 && bytes > maxAnswerBytes {
			return i
		}
	}
	return len(messages)
}

// take returns the answer to the poll that began with replaced. It returns no messages if a newer
// poll began. Messages that do not fit into the answer wait for the next poll.
func (c *PollConn) take(replaced <-chan struct{}) (out []*gatewayv1.StreamNodeEventsResponse, sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if replaced != c.replaced {
		if len(c.out) > 0 {
			c.notify() // The wake-up may have been meant for the newer poll.
		}
		return nil, c.sequence
	}
	if n := fittingMessages(c.out); n > 0 {
		c.out, c.sent = slices.Clone(c.out[n:]), c.out[:n:n]
		c.sequence++
	}
	return c.sent, c.sequence
}

// Deliver passes a message of the machine to the session.
func (c *PollConn) Deliver(ctx context.Context, m *gatewayv1.StreamNodeEventsRequest) error {
	select {
	case c.in <- m:
		return nil
	case <-c.ended:
		return c.endError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endError returns the error for a poll after the session has ended.
func (c *PollConn) endError() error {
	if c.err == nil {
		return errUnknownSession
	}
	return c.err
}

// End ends the session with the error for later polls; nil for a clean end.
func (c *PollConn) End(err error) {
	c.err = err
	close(c.ended)
}

// Ended is closed when the session has ended.
func (c *PollConn) Ended() <-chan struct{} { return c.ended }

// Await serves a poll of a machine that has received all answers up to acknowledged. It returns
// when messages wait for the machine, or after pollTimeout without messages. Its error is a gRPC
// status.
func (c *PollConn) Await(ctx context.Context, acknowledged uint64) (*gatewayv1.PollDispatchResponse, error) {
	timer := c.clock.NewTimer(pollTimeout)
	defer timer.Stop()
	replaced := c.startPoll(acknowledged)
	for {
		out, sequence := c.take(replaced)
		answer := &gatewayv1.PollDispatchResponse{Messages: out, Sequence: sequence}
		if len(out) > 0 {
			return answer, nil
		}
		select {
		case <-c.wake:
		case <-c.ended:
			return nil, c.endError()
		case <-replaced:
			return nil, errPollReplaced
		case <-timer.C():
			return answer, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
