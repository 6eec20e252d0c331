package transport

import (
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestAutoFallsBackAndProbesBack(t *testing.T) {
	c := NewChooser(Auto, DefaultStreamProbe)
	expect := func(want Kind, until time.Duration) {
		t.Helper()
		if got, gotUntil := c.Next(); got != want || gotUntil != until {
			t.Fatalf("next is %s for %s, want %s for %s", got, gotUntil, want, until)
		}
	}
	for range maxBrokenStreams {
		c.SessionEnded(Stream, time.Second, false) // refused, or ended on purpose
	}
	expect(Stream, 0)
	c.SessionEnded(Stream, time.Second, true)
	c.SessionEnded(Stream, time.Second, true)
	expect(Stream, 0)
	c.SessionEnded(Stream, time.Second, true)
	expect(Poll, DefaultStreamProbe)
	c.SessionEnded(Poll, time.Second, true) // a failed poll is followed by another poll
	expect(Poll, DefaultStreamProbe)
	c.ProbeStream()
	expect(Stream, 0)
	c.SessionEnded(Stream, time.Second, true) // one broken stream is enough now
	expect(Poll, 2*DefaultStreamProbe)
	for range 10 {
		c.ProbeStream()
		c.SessionEnded(Stream, time.Second, true)
	}
	expect(Poll, maxStreamProbe)
	c.ProbeStream()
	c.SessionEnded(Stream, StableDuration, true) // the stream was stable
	expect(Stream, 0)
	c.SessionEnded(Stream, time.Second, true)
	expect(Stream, 0)
	fixed := NewChooser(Stream, DefaultStreamProbe)
	for range 10 {
		fixed.SessionEnded(Stream, time.Second, true)
	}
	if got, _ := fixed.Next(); got != Stream {
		t.Errorf("--transport stream turned to %s", got)
	}
}

func TestARefusalIsNoBrokenConnection(t *testing.T) {
	gatewayStatus, err := status.New(codes.Unavailable, "going away").WithDetails(&errdetails.ErrorInfo{Reason: "SaidByGateway"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"reset":                      {status.Error(codes.Unavailable, "reset"), true},
		"RST_STREAM":                 {status.Error(codes.Internal, "RST_STREAM"), true},
		"end of the stream":          {io.EOF, true},
		"not a status":               {errors.New("connection reset by peer"), true},
		"revoked":                    {status.Error(codes.PermissionDenied, "revoked"), false},
		"replaced":                   {status.Error(codes.Aborted, "a newer session won"), false},
		"code of a break, with info": {gatewayStatus.Err(), false},
	} {
		if got := IsConnectionBreak(c.err); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
