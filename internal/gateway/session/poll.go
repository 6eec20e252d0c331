package session

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// pollHold is the time that a poll waits for messages. It is shorter than the silence that ends a
// session.
const pollHold = 30 * time.Second

var (
	errUnknownSession = status.Error(codes.FailedPrecondition, "unknown session id; say Hello again")
	errOvertaken      = status.Error(codes.Canceled, "a newer poll replaced this one")
)

// polledSessions maps session ids to sessions, because each poll may use another connection.
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

// of returns the conn of a session if caller owns the session.
func (p *polledSessions) of(id string, caller peer.Identity) (*pollConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byID[id]
	if c == nil || c.owner.ID != caller.ID || c.owner.PublicKeySHA256 != caller.PublicKeySHA256 {
		return nil, errUnknownSession
	}
	return c, nil
}

// await blocks a poll until messages wait for the machine, or until pollHold has passed.
func (s *Service) await(ctx context.Context, c *pollConn, acknowledged uint64) (*gatewayv1.PollDispatchResponse, error) {
	hold := s.Clock.NewTimer(pollHold)
	defer hold.Stop()
	overtaken := c.begin(acknowledged)
	for {
		out, sequence := c.take(overtaken)
		answer := &gatewayv1.PollDispatchResponse{Messages: out, Sequence: sequence}
		if len(out) > 0 {
			return answer, nil
		}
		select {
		case <-c.wake:
		case <-c.ended:
			return nil, c.end()
		case <-overtaken:
			return nil, errOvertaken
		case <-hold.C():
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
	c, err := s.polled.of(request.GetSessionId(), id)
	if err != nil {
		return nil, err
	}
	// A poll counts as a heartbeat.
	if err := c.hear(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{Heartbeat: &gatewayv1.Heartbeat{}}}); err != nil {
		return nil, err
	}
	answer, err := s.await(ctx, c, request.GetAcknowledged())
	if err != nil {
		return nil, err
	}
	answer.SessionId = request.GetSessionId()
	return answer, nil
}

// openPolled starts a session that outlives the call, and returns when the session is recorded.
func (s *Service) openPolled(ctx context.Context, id peer.Identity, hello *gatewayv1.Hello) (*gatewayv1.PollDispatchResponse, error) {
	if hello == nil {
		return nil, status.Error(codes.InvalidArgument, "the first poll must carry Hello")
	}
	if !s.registry.begin() {
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
	if err := c.hear(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: hello}}); err != nil {
		cancel()
		return nil, err
	}
	answer, err := s.await(ctx, c, 0)
	if err != nil || len(answer.GetMessages()) == 0 {
		cancel()
		return nil, err
	}
	answer.SessionId = answer.GetMessages()[0].GetWelcome().GetSessionId()
	s.polled.put(answer.SessionId, c)
	s.registry.spawn(func() {
		<-c.ended
		s.polled.drop(answer.SessionId)
	})
	return answer, nil
}

// ReportResult passes the machine's messages to its polled session.
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
