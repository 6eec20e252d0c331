package session

import (
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// pollHold is how long a poll waits for news; shorter than the silence that ends a session.
const pollHold = 30 * time.Second

var errUnknownSession = status.Error(codes.FailedPrecondition, "unknown session id; say Hello again")

// polledSessions finds the session behind an id. A machine whose poll failed has to say
// Hello again: what the lost answer carried is then offered anew.
type polledSessions struct {
	mu   sync.Mutex
	byID map[string]*pollConn
}

func newPolledSessions() *polledSessions {
	return &polledSessions{byID: map[string]*pollConn{}}
}

func (p *polledSessions) put(id string, c *pollConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byID[id] = c
}

func (p *polledSessions) drop(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
}

// of returns the conn of a session, if it is the caller's.
func (p *polledSessions) of(id string, caller peer.Identity) (*pollConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byID[id]
	if c == nil || c.owner.ID != caller.ID || c.owner.PublicKeySHA256 != caller.PublicKeySHA256 {
		return nil, errUnknownSession
	}
	return c, nil
}

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
	if len(c.out) >= maxUnsent {
		return errUnread
	}
	c.out = append(c.out, m)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

func (c *pollConn) take() []*gatewayv1.StreamNodeEventsResponse {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.out
	c.out = nil
	return out
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

// await holds a poll until there is something to say.
func (s *Service) await(ctx context.Context, c *pollConn) ([]*gatewayv1.StreamNodeEventsResponse, error) {
	hold := s.Clock.NewTimer(pollHold)
	defer hold.Stop()
	for {
		if out := c.take(); len(out) > 0 {
			return out, nil
		}
		select {
		case <-c.wake:
		case <-c.ended:
			return nil, c.end()
		case <-hold.C():
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// PollDispatch opens or continues a session over polls.
func (s *Service) PollDispatch(ctx context.Context, request *gatewayv1.PollDispatchRequest) (*gatewayv1.PollDispatchResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if request.GetSessionId() == "" {
		return s.openPolled(ctx, id, request.GetHello())
	}
	c, err := s.polled.of(request.GetSessionId(), id)
	if err != nil {
		return nil, err
	}
	// A poll is a sign of life.
	if err := c.hear(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{Heartbeat: &gatewayv1.Heartbeat{}}}); err != nil {
		return nil, err
	}
	messages, err := s.await(ctx, c)
	if err != nil {
		return nil, err
	}
	return &gatewayv1.PollDispatchResponse{SessionId: request.GetSessionId(), Messages: messages}, nil
}

// openPolled runs a session that outlives the call and returns when it is recorded.
func (s *Service) openPolled(ctx context.Context, id peer.Identity, hello *gatewayv1.Hello) (*gatewayv1.PollDispatchResponse, error) {
	if hello == nil {
		return nil, status.Error(codes.InvalidArgument, "the first poll must carry Hello")
	}
	if !s.registry.begin() {
		return nil, errDraining
	}
	defer s.registry.running.Done()
	c := &pollConn{owner: id, in: make(chan *gatewayv1.StreamNodeEventsRequest), ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	sessionCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.registry.spawn(func() {
		defer cancel()
		c.err = s.serve(sessionCtx, c)
		close(c.ended)
	})
	if err := c.hear(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: hello}}); err != nil {
		cancel()
		return nil, err
	}
	messages, err := s.await(ctx, c)
	if err != nil || len(messages) == 0 {
		cancel()
		return nil, err
	}
	sessionID := messages[0].GetWelcome().GetSessionId()
	s.polled.put(sessionID, c)
	s.registry.spawn(func() {
		<-c.ended
		s.polled.drop(sessionID)
	})
	return &gatewayv1.PollDispatchResponse{SessionId: sessionID, Messages: messages}, nil
}

// ReportResult hands the machine's messages to its polled session.
func (s *Service) ReportResult(ctx context.Context, request *gatewayv1.ReportResultRequest) (*gatewayv1.ReportResultResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.polled.of(request.GetSessionId(), id)
	if err != nil {
		return nil, err
	}
	for _, m := range request.GetMessages() {
		if err := c.hear(ctx, m); err != nil {
			return nil, err
		}
	}
	return &gatewayv1.ReportResultResponse{}, nil
}
