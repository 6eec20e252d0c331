package session

import (
	"io"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAutoFallsBackAndProbesBack(t *testing.T) {
	c := transportChooser{configured: TransportAuto, firstProbe: DefaultStreamProbe}
	errBroken := status.Error(codes.Unavailable, "reset")
	expect := func(want Transport, until time.Duration) {
		t.Helper()
		if got, gotUntil := c.nextTransport(); got != want || gotUntil != until {
			t.Fatalf("next is %s for %s, want %s for %s", got, gotUntil, want, until)
		}
	}
	c.sessionEnded(TransportStream, false, time.Second, errBroken)                                         // no gateway
	c.sessionEnded(TransportStream, true, time.Second, status.Error(codes.PermissionDenied, "revoked"))    // refused
	c.sessionEnded(TransportStream, true, time.Second, &drainError{})                                      // on purpose
	c.sessionEnded(TransportStream, true, time.Second, errRenewed)                                         // on purpose
	c.sessionEnded(TransportStream, true, time.Second, status.Error(codes.Aborted, "a newer session won")) // refused
	gatewayStatus, err := status.New(codes.Unavailable, "going away").WithDetails(&errdetails.ErrorInfo{Reason: "SaidByGateway"})
	if err != nil {
		t.Fatal(err)
	}
	c.sessionEnded(TransportStream, true, time.Second, gatewayStatus.Err()) // refused, with the code of a broken connection
	expect(TransportStream, 0)
	c.sessionEnded(TransportStream, true, time.Second, errBroken)
	c.sessionEnded(TransportStream, true, time.Second, io.EOF)
	expect(TransportStream, 0)
	c.sessionEnded(TransportStream, true, time.Second, status.Error(codes.Internal, "RST_STREAM"))
	expect(TransportPoll, DefaultStreamProbe)
	c.sessionEnded(TransportPoll, true, time.Second, errBroken) // a failed poll is followed by another poll
	expect(TransportPoll, DefaultStreamProbe)
	c.sessionEnded(TransportPoll, true, DefaultStreamProbe, errProbe)
	expect(TransportStream, 0)
	c.sessionEnded(TransportStream, true, time.Second, errBroken) // one broken stream is enough now
	expect(TransportPoll, 2*DefaultStreamProbe)
	for range 10 {
		c.sessionEnded(TransportPoll, true, time.Hour, errProbe)
		c.sessionEnded(TransportStream, true, time.Second, errBroken)
	}
	expect(TransportPoll, maxStreamProbe)
	c.sessionEnded(TransportPoll, true, maxStreamProbe, errProbe)
	c.sessionEnded(TransportStream, true, stableDuration, errBroken) // the stream was stable
	expect(TransportStream, 0)
	c.sessionEnded(TransportStream, true, time.Second, errBroken)
	expect(TransportStream, 0)
	fixed := transportChooser{configured: TransportStream}
	for range 10 {
		fixed.sessionEnded(TransportStream, true, time.Second, errBroken)
	}
	if got, _ := fixed.nextTransport(); got != TransportStream {
		t.Errorf("--transport stream turned to %s", got)
	}
}
