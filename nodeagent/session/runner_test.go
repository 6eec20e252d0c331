package session

import (
	"io"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/transport"
)

func TestOnlyABrokenSessionCountsAgainstStreams(t *testing.T) {
	r := &Runner{transport: transport.NewChooser(transport.Auto, time.Minute)}
	record := func(kind transport.Kind, reached bool, err error) {
		r.recordTransport(kind, sessionProgress{registered: reached}, time.Second, err)
	}
	for range 3 {
		record(transport.Stream, false, io.EOF) // no gateway was reached
		for _, onPurpose := range []error{errStopped, errRenewed, &drainError{}} {
			record(transport.Stream, true, onPurpose)
		}
	}
	if n := r.transport.BrokenStreams(); n != 0 {
		t.Errorf("%d streams count as broken, want none", n)
	}
	for range 3 {
		record(transport.Stream, true, io.EOF)
	}
	if kind, until := r.transport.Next(); kind != transport.Poll || until != time.Minute {
		t.Errorf("after broken streams comes %s for %s", kind, until)
	}
	record(transport.Poll, true, errProbe)
	if kind, _ := r.transport.Next(); kind != transport.Stream {
		t.Errorf("after the polls comes %s, want a stream", kind)
	}
}
