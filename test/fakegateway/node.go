package fakegateway

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

// Node is the node listener. It hands each session that a machine opens to the test.
type Node struct {
	gatewayv1.UnimplementedNodeServiceServer
	t       testing.TB
	gateway *Gateway

	// Register, when set, may refuse a registration.
	Register func() error
	// Welcome may change the welcome before it is sent.
	Welcome func(*gatewayv1.Welcome)
	// Rotate, when set, may refuse a new key.
	Rotate func() error
	// BreakStream, when set, ends a stream after its Welcome, as a network failure does.
	BreakStream func() error
	// CertificateLifetime is the lifetime of the certificates that machines get.
	CertificateLifetime time.Duration
	pins                pins
	// Sessions receives every session after its Hello.
	Sessions chan *Session
	polled   atomic.Pointer[Session]
	// Revoked counts the valid requests to revoke a machine.
	Revoked atomic.Int32
}

// Session is one stream as the gateway sees it.
type Session struct {
	Hello *gatewayv1.Hello
	// Serial is the serial number of the certificate; it identifies the certificate.
	Serial string
	// Polled is true when the session is carried by polls.
	Polled   bool
	Received chan *gatewayv1.StreamNodeEventsRequest
	stream   gatewayv1.NodeService_StreamNodeEventsServer
	end      chan error
	polls    chan *gatewayv1.StreamNodeEventsResponse
}

func newNode(t testing.TB, g *Gateway) *Node {
	return &Node{t: t, gateway: g, Sessions: make(chan *Session, 16), CertificateLifetime: 24 * time.Hour}
}

// RegisterNode grants all capabilities to the pinned key.
func (n *Node) RegisterNode(ctx context.Context, request *gatewayv1.RegisterNodeRequest) (*gatewayv1.RegisterNodeResponse, error) {
	if n.Register != nil {
		if err := n.Register(); err != nil {
			return nil, err
		}
	}
	state, _, err := connectionState(ctx)
	if err != nil {
		return nil, err
	}
	if !n.pins.accept(state.PeerCertificates[0]) {
		return nil, status.Error(codes.PermissionDenied, "not the pinned key")
	}
	var names []string
	for _, c := range request.GetCapabilities() {
		names = append(names, c.GetName())
	}
	return &gatewayv1.RegisterNodeResponse{GrantedCapabilities: names}, nil
}

// StreamNodeEvents sends the Welcome, then leaves the stream to the test.
func (n *Node) StreamNodeEvents(stream grpc.BidiStreamingServer[gatewayv1.StreamNodeEventsRequest, gatewayv1.StreamNodeEventsResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	state, _, err := connectionState(stream.Context())
	if err != nil {
		return err
	}
	welcome := &gatewayv1.Welcome{SessionId: "s", HeartbeatInterval: durationpb.New(time.Second), GatewayTime: timestamppb.Now()}
	if n.Welcome != nil {
		n.Welcome(welcome)
	}
	if err := stream.Send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Welcome{Welcome: welcome}}); err != nil {
		return err
	}
	if n.BreakStream != nil {
		if err := n.BreakStream(); err != nil {
			return err
		}
	}
	session := &Session{
		Hello: first.GetHello(), Serial: state.PeerCertificates[0].SerialNumber.String(),
		Received: make(chan *gatewayv1.StreamNodeEventsRequest, 1024), stream: stream, end: make(chan error, 1),
	}
	n.Sessions <- session
	received := make(chan error, 1)
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				received <- nil // the machine closed its side
				return
			}
			session.Received <- message
		}
	}()
	select {
	case err := <-session.end:
		return err
	case err := <-received:
		return err
	}
}

// NextSession waits for the next session.
func (n *Node) NextSession(t testing.TB) *Session {
	t.Helper()
	select {
	case s := <-n.Sessions:
		return s
	case <-time.After(30 * time.Second):
		t.Fatal("no session was opened")
		return nil
	}
}

// Send sends a message to the machine.
func (s *Session) Send(t testing.TB, message *gatewayv1.StreamNodeEventsResponse) {
	t.Helper()
	if s.Polled {
		s.polls <- message
		return
	}
	if err := s.stream.Send(message); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// End ends the stream with err.
func (s *Session) End(err error) { s.end <- err }

// AwaitMessage waits for a message that match accepts, and drops the others.
func AwaitMessage[T any](t testing.TB, s *Session, match func(*gatewayv1.StreamNodeEventsRequest) *T) *T {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case message := <-s.Received:
			if found := match(message); found != nil {
				return found
			}
		case <-deadline:
			t.Fatal("the expected message did not come")
			return nil
		}
	}
}
