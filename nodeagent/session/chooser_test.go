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
	c := chooser{want: TransportAuto, first: DefaultStreamProbe}
	cut := status.Error(codes.Unavailable, "reset")
	expect := func(want Transport, until time.Duration) {
		t.Helper()
		if got, gotUntil := c.next(); got != want || gotUntil != until {
			t.Fatalf("next is %s for %s, want %s for %s", got, gotUntil, want, until)
		}
	}
	c.ended(TransportStream, false, time.Second, cut)                                               // no gateway
	c.ended(TransportStream, true, time.Second, status.Error(codes.PermissionDenied, "revoked"))    // refused
	c.ended(TransportStream, true, time.Second, &drained{})                                         // on purpose
	c.ended(TransportStream, true, time.Second, errRenewed)                                         // on purpose
	c.ended(TransportStream, true, time.Second, status.Error(codes.Aborted, "a newer session won")) // refused
	said, err := status.New(codes.Unavailable, "going away").WithDetails(&errdetails.ErrorInfo{Reason: "SaidByGateway"})
	if err != nil {
		t.Fatal(err)
	}
	c.ended(TransportStream, true, time.Second, said.Err()) // refused, with the code of a broken connection
	expect(TransportStream, 0)
	c.ended(TransportStream, true, time.Second, cut)
	c.ended(TransportStream, true, time.Second, io.EOF)
	expect(TransportStream, 0)
	c.ended(TransportStream, true, time.Second, status.Error(codes.Internal, "RST_STREAM"))
	expect(TransportPoll, DefaultStreamProbe)
	c.ended(TransportPoll, true, time.Second, cut) // a failed poll is followed by another poll
	expect(TransportPoll, DefaultStreamProbe)
	c.ended(TransportPoll, true, DefaultStreamProbe, errProbe)
	expect(TransportStream, 0)
	c.ended(TransportStream, true, time.Second, cut) // one broken stream is enough now
	expect(TransportPoll, 2*DefaultStreamProbe)
	for range 10 {
		c.ended(TransportPoll, true, time.Hour, errProbe)
		c.ended(TransportStream, true, time.Second, cut)
	}
	expect(TransportPoll, lastProbe)
	c.ended(TransportPoll, true, lastProbe, errProbe)
	c.ended(TransportStream, true, stable, cut) // the stream was stable
	expect(TransportStream, 0)
	c.ended(TransportStream, true, time.Second, cut)
	expect(TransportStream, 0)
	fixed := chooser{want: TransportStream}
	for range 10 {
		fixed.ended(TransportStream, true, time.Second, cut)
	}
	if got, _ := fixed.next(); got != TransportStream {
		t.Errorf("--transport stream turned to %s", got)
	}
}
