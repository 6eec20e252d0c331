package session

import (
	"context"
	"io"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// maxAnswerBytes is about the size of one answer to a poll: an agent takes messages of 4 MiB, the
// default of gRPC. A single message is below 1 MiB: an input has at most dispatch.MaxInputBytes, and
// a ConfigMap holds the CA bundle.
const maxAnswerBytes = 1 << 20

// pollConn is a session's conn between polls.
type pollConn struct {
	owner peer.Identity
	in    chan *gatewayv1.StreamNodeEventsRequest
	// ended is closed when the session is over, with err.
	ended chan struct{}
	err   error
	wake  chan struct{}

	mu  sync.Mutex
	out []*gatewayv1.StreamNodeEventsResponse
	// sent are the messages of the last answer, which may not have arrived; sequence counts
	// the answers with messages.
	sent     []*gatewayv1.StreamNodeEventsResponse
	sequence uint64
	// overtaken is closed when a newer poll takes the place of the one that is held.
	overtaken chan struct{}
}

func newPollConn(owner peer.Identity) *pollConn {
	return &pollConn{owner: owner, in: make(chan *gatewayv1.StreamNodeEventsRequest), ended: make(chan struct{}),
		wake: make(chan struct{}, 1), overtaken: make(chan struct{})}
}

// Recv is what the session reads.
func (c *pollConn) Recv() (*gatewayv1.StreamNodeEventsRequest, error) {
	select {
	case m := <-c.in:
		return m, nil
	case <-c.ended:
		return nil, io.EOF
	}
}

// Send keeps a message for the next poll; it errs when the machine does not poll.
func (c *pollConn) Send(m *gatewayv1.StreamNodeEventsResponse) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent)+len(c.out) >= maxUnsent {
		return errUnread
	}
	c.out = append(c.out, m)
	c.rouse()
	return nil
}

// rouse is called with the lock held.
func (c *pollConn) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// begin starts a poll of a machine that has everything up to the answer acknowledged; what it
// has not is sent again. A poll that is still held was on a connection that broke: it ends.
func (c *pollConn) begin(acknowledged uint64) (overtaken <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if acknowledged != 0 && acknowledged < c.sequence {
		c.out = append(c.sent, c.out...)
	}
	c.sent = nil
	close(c.overtaken)
	c.overtaken = make(chan struct{})
	if len(c.out) > 0 {
		c.rouse()
	}
	return c.overtaken
}

// answerable returns how many of the messages one answer carries: at least one, and no more than
// fill maxAnswerBytes.
func answerable(messages []*gatewayv1.StreamNodeEventsResponse) int {
	bytes := 0
	for i, m := range messages {
		if bytes += proto.Size(m); i > 0 && bytes > maxAnswerBytes {
			return i
		}
	}
	return len(messages)
}

// take is what the poll that began with overtaken answers; nothing when a newer one began. What
// does not fit waits for the next poll.
func (c *pollConn) take(overtaken <-chan struct{}) (out []*gatewayv1.StreamNodeEventsResponse, sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if overtaken != c.overtaken {
		if len(c.out) > 0 {
			c.rouse() // It may have been woken in the place of the newer one.
		}
		return nil, c.sequence
	}
	if n := answerable(c.out); n > 0 {
		c.out, c.sent = slices.Clone(c.out[n:]), c.out[:n:n]
		c.sequence++
	}
	return c.sent, c.sequence
}

// hear hands a message to the session.
func (c *pollConn) hear(ctx context.Context, m *gatewayv1.StreamNodeEventsRequest) error {
	select {
	case c.in <- m:
		return nil
	case <-c.ended:
		return c.end()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end is what a poll answers once the session is over.
func (c *pollConn) end() error {
	if c.err == nil {
		return errUnknownSession
	}
	return c.err
}
