package session

import (
	"context"

	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/link"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// PollDispatch opens or continues a session over polls.
func (s *Service) PollDispatch(ctx context.Context, request *gatewayv1.PollDispatchRequest) (*gatewayv1.PollDispatchResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if request.GetSessionId() == "" {
		return s.openPolled(ctx, id, request.GetHello())
	}
	c, err := s.polls.Get(request.GetSessionId(), id)
	if err != nil {
		return nil, err
	}
	// A poll counts as a heartbeat.
	if err := c.Deliver(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{Heartbeat: &gatewayv1.Heartbeat{}}}); err != nil {
		return nil, err
	}
	answer, err := c.Await(ctx, request.GetAcknowledged())
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
	c := link.NewPollConn(s.Clock, id)
	sessionCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.registry.spawn(func() {
		defer cancel()
		c.End(s.serve(sessionCtx, c))
	})
	if err := c.Deliver(ctx, &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: hello}}); err != nil {
		cancel()
		return nil, err
	}
	answer, err := c.Await(ctx, 0)
	if err != nil || len(answer.GetMessages()) == 0 {
		cancel()
		return nil, err
	}
	answer.SessionId = answer.GetMessages()[0].GetWelcome().GetSessionId()
	s.polls.Add(answer.SessionId, c)
	s.registry.spawn(func() {
		<-c.Ended()
		s.polls.Remove(answer.SessionId)
	})
	return answer, nil
}

// ReportResult passes the machine's messages to its polled session.
func (s *Service) ReportResult(ctx context.Context, request *gatewayv1.ReportResultRequest) (*gatewayv1.ReportResultResponse, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.polls.Get(request.GetSessionId(), id)
	if err != nil {
		return nil, err
	}
	for _, m := range request.GetMessages() {
		if err := c.Deliver(ctx, m); err != nil {
			return nil, err
		}
	}
	return &gatewayv1.ReportResultResponse{}, nil
}
