package session

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// pollTimeout is the time that a poll waits for messages. It is shorter than the silence that ends a
// session.
const pollTimeout = 30 * time.Second

var (
	errUnknownSession = denial.New(codes.FailedPrecondition, gatewayv1.ReasonSessionUnknown, "unknown session id; say Hello again")
	errPollReplaced   = status.Error(codes.Canceled, "a newer poll replaced this one")
)

// polledSessions maps session ids to sessions, because each poll may use another connection.
type polledSessions struct {
	mu   sync.Mutex
	byID map[string]*pollConn
}

func newPolledSessions() *polledSessions {
	return &polledSessions{byID: map[string]*pollConn{}}
}

func (p *polledSessions) add(id string, c *pollConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byID[id] = c
}

func (p *polledSessions) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
}

// get returns the conn of a session if caller owns the session.
func (p *polledSessions) get(id string, caller peer.Identity) (*pollConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byID[id]
	if c == nil || c.owner.ID != caller.ID || c.owner.PublicKeySHA256 != caller.PublicKeySHA256 {
		return nil, errUnknownSession
	}
	return c, nil
}

// awaitMessages blocks a poll until messages wait for the machine, or until pollTimeout has passed.
func (s *Service) awaitMessages(ctx context.Context, c *pollConn, acknowledged uint64) (*gatewayv1.PollDispatchResponse, error) {
	timer := s.Clock.NewTimer(pollTimeout)
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

// PollDispatch opens or continues a session over polls.
func (s *Service) PollDispatch(ctx context.Context, request *gatewayv1.PollDispatchRequest) (*gatewayv1.PollDispatchResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if request.GetSessionId() == "" {
		return s.openPolled(ctx, id, request.GetHello())
	}
	c, err := s.polled.get(request.GetSessionId(), id)
	if err != nil {
		return nil, err
	}
	// A poll counts as a heartbeat.
	if err := c.deliver(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{Heartbeat: &gatewayv1.Heartbeat{}}}); err != nil {
		return nil, err
	}
	answer, err := s.awaitMessages(ctx, c, request.GetAcknowledged())
	if err != nil {
		return nil, err
	}
	answer.SessionId = request.GetSessionId()
	return answer, nil
}

// openPolled starts a session that outlives the call, and returns when the session is recorded.
func (s *Service) openPolled(ctx context.Context, id peer.Identity, hello *gatewayv1.Hello) (*gatewayv1.PollDispatchResponse, error) {
	if hello == nil {
		return nil, denial.New(codes.InvalidArgument, gatewayv1.ReasonInvalidRequest, "the first poll must carry Hello")
	}
	if !s.registry.track() {
		return nil, errDraining
	}
	defer s.registry.running.Done()
	c := newPollConn(id)
	sessionCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.registry.spawn(func() {
		defer cancel()
		c.err = s.serve(sessionCtx, c)
		close(c.ended)
	})
	if err := c.deliver(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: hello}}); err != nil {
		cancel()
		return nil, err
	}
	answer, err := s.awaitMessages(ctx, c, 0)
	if err != nil || len(answer.GetMessages()) == 0 {
		cancel()
		return nil, err
	}
	answer.SessionId = answer.GetMessages()[0].GetWelcome().GetSessionId()
	s.polled.add(answer.SessionId, c)
	s.registry.spawn(func() {
		<-c.ended
		s.polled.remove(answer.SessionId)
	})
	return answer, nil
}

// ReportResult passes the machine's messages to its polled session.
func (s *Service) ReportResult(ctx context.Context, request *gatewayv1.ReportResultRequest) (*gatewayv1.ReportResultResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.polled.get(request.GetSessionId(), id)
	if err != nil {
		return nil, err
	}
	for _, m := range request.GetMessages() {
		if err := c.deliver(ctx, m); err != nil {
			return nil, err
		}
	}
	return &gatewayv1.ReportResultResponse{}, nil
}
