// Package scriptedagent plays an agent in a session with a real gateway, one message at a time. Tests
// of the gateway use it, because a real agent answers by itself.
package scriptedagent

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// bufferedMessages is more than a gateway sends in any test before the test receives.
const bufferedMessages = 1024

// Session is one stream of events of a machine.
type Session struct {
	t      testing.TB
	within time.Duration
	stream gatewayv1.NodeService_StreamNodeEventsClient

	// Received delivers the messages of the gateway, and Ended the error at the end of the stream.
	Received <-chan *gatewayv1.StreamNodeEventsResponse
	Ended    <-chan error
}

// Open opens a stream until ctx ends, and sends Hello. It waits for no answer. Each wait of the session
// lasts at most within.
func Open(ctx context.Context, t testing.TB, client gatewayv1.NodeServiceClient, hello *gatewayv1.Hello, within time.Duration) *Session {
	t.Helper()
	stream, err := client.StreamNodeEvents(ctx)
	if err != nil {
		t.Fatal(err)
	}
	received, ended := make(chan *gatewayv1.StreamNodeEventsResponse, bufferedMessages), make(chan error, 1)
	s := &Session{t: t, within: within, stream: stream, Received: received, Ended: ended}
	_ = s.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Hello{Hello: hello}})
	go func() {
		for {
			message, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			received <- message
		}
	}()
	return s
}

// Send sends a message. A stream that has ended does not fail the test: Ended delivers the reason.
func (s *Session) Send(message *gatewayv1.StreamNodeEventsRequest) error {
	s.t.Helper()
	err := s.stream.Send(message)
	if err != nil {
		s.t.Logf("send: %v", err)
	}
	return err
}

// Report sends a result.
func (s *Session) Report(result *gatewayv1.Result) {
	s.t.Helper()
	_ = s.Send(&gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: result}})
}

// Next returns the next message, which must be of one kind.
func Next[T any](s *Session, kind string, get func(*gatewayv1.StreamNodeEventsResponse) *T) *T {
	s.t.Helper()
	message := s.next(kind, time.After(s.within))
	found := get(message)
	if found == nil {
		s.t.Fatalf("received %v, want %s", message, kind)
	}
	return found
}

// Await returns the next message of one kind and skips all others.
func Await[T any](s *Session, kind string, get func(*gatewayv1.StreamNodeEventsResponse) *T) *T {
	s.t.Helper()
	timeout := time.After(s.within)
	for {
		if found := get(s.next(kind, timeout)); found != nil {
			return found
		}
	}
}

func (s *Session) next(kind string, timeout <-chan time.Time) *gatewayv1.StreamNodeEventsResponse {
	s.t.Helper()
	select {
	case message := <-s.Received:
		return message
	case err := <-s.Ended:
		s.t.Fatalf("the session ended with %v, want %s", err, kind)
	case <-timeout:
		s.t.Fatalf("received no message, want %s", kind)
	}
	return nil
}

// RequireNoMessage fails the test if an unexpected message of the gateway was received.
func (s *Session) RequireNoMessage() {
	s.t.Helper()
	select {
	case message := <-s.Received:
		s.t.Fatalf("received %v, want no message", message)
	default:
	}
}

// AwaitEnd returns the status with which the gateway ended the session.
func (s *Session) AwaitEnd() *status.Status {
	s.t.Helper()
	timeout := time.After(s.within)
	for {
		select {
		case <-s.Received:
		case err := <-s.Ended:
			return status.Convert(err)
		case <-timeout:
			s.t.Fatal("the session did not end")
		}
	}
}

// Exporter returns the TLS exporter of the connection of the session.
func (s *Session) Exporter() []byte {
	s.t.Helper()
	connection, ok := peer.FromContext(s.stream.Context())
	if !ok {
		s.t.Fatal("no connection to the gateway")
	}
	exporter, err := Exporter(connection)
	if err != nil {
		s.t.Fatal(err)
	}
	return exporter
}

// Exporter returns the TLS exporter of a connection, which binds a proof to that connection.
func Exporter(connection *peer.Peer) ([]byte, error) {
	info, ok := connection.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, errors.New("no TLS connection to the gateway")
	}
	return info.State.ExportKeyingMaterial(pairing.ExporterLabel, nil, pairing.ExporterLength)
}
