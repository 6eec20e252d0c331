package fakegateway

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// pollHold is the time that a poll is held. It is short, so that a test sees several polls.
const pollHold = 100 * time.Millisecond

// PollDispatch sends the Welcome, then leaves the session to the test, as StreamNodeEvents does.
func (n *Node) PollDispatch(ctx context.Context, request *gatewayv1.PollDispatchRequest) (*gatewayv1.PollDispatchResponse, error) {
	if request.GetSessionId() == "" {
		state, _, err := connectionState(ctx)
		if err != nil {
			return nil, err
		}
		s := &Session{
			Hello: request.GetHello(), Serial: state.PeerCertificates[0].SerialNumber.String(), Polled: true,
			Received: make(chan *gatewayv1.StreamNodeEventsRequest, 1024), end: make(chan error, 1),
			polls: make(chan *gatewayv1.StreamNodeEventsResponse, 64),
		}
		n.polled.Store(s)
		n.Sessions <- s
		welcome := &gatewayv1.Welcome{SessionId: "p", HeartbeatInterval: durationpb.New(time.Second), GatewayTime: timestamppb.Now()}
		if n.Welcome != nil {
			n.Welcome(welcome)
		}
		return &gatewayv1.PollDispatchResponse{SessionId: "p", Messages: []*gatewayv1.StreamNodeEventsResponse{
			{Message: &gatewayv1.StreamNodeEventsResponse_Welcome{Welcome: welcome}}}}, nil
	}
	s := n.polled.Load()
	if s == nil {
		return nil, errNoSession
	}
	hold := time.NewTimer(pollHold)
	defer hold.Stop()
	answer := &gatewayv1.PollDispatchResponse{SessionId: "p"}
	select {
	case m := <-s.polls:
		answer.Messages = append(answer.Messages, m)
	case err := <-s.end:
		n.polled.Store(nil)
		return nil, err
	case <-hold.C:
	case <-ctx.Done():
	}
	return answer, nil
}

// DropPolledSession drops the polled session without a message, as a restart of the gateway does.
func (n *Node) DropPolledSession() { n.polled.Store(nil) }

var errNoSession = status.Error(codes.FailedPrecondition, "unknown session id; say Hello again")

// ReportResult hands the messages of the machine to the test; Stopping ends the session.
func (n *Node) ReportResult(_ context.Context, request *gatewayv1.ReportResultRequest) (*gatewayv1.ReportResultResponse, error) {
	s := n.polled.Load()
	if s == nil {
		return nil, errNoSession
	}
	for _, m := range request.GetMessages() {
		s.Received <- m
		if m.GetStopping() != nil {
			s.end <- errNoSession
		}
	}
	return &gatewayv1.ReportResultResponse{}, nil
}
