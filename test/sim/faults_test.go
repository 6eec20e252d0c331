package sim

import (
	"testing"
	"time"

	"google.golang.org/grpc"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

func TestFaultsAreReadAsTheyAreWritten(t *testing.T) {
	want := Faults{Stall: 3 * time.Second, Slow: 20 * time.Millisecond, Drop: 0.25, Duplicate: 1}
	for _, text := range []string{"stall=3s,slow=20ms,drop=0.25,duplicate=1", want.String()} {
		if got, err := ParseFaults(text); err != nil || got != want {
			t.Errorf("%q is %+v (%v), want %+v", text, got, err, want)
		}
	}
	if got, err := ParseFaults(""); err != nil || got != (Faults{}) {
		t.Errorf("nothing is %+v (%v)", got, err)
	}
	for _, text := range []string{"drop=2", "drop=-0.1", "slow=20", "late=1s", "stall"} {
		if _, err := ParseFaults(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// countingStream counts the messages that reach the connection.
type countingStream struct {
	grpc.ClientStream
	messages int
}

func (s *countingStream) SendMsg(any) error {
	s.messages++
	return nil
}

// Only results are dropped or duplicated: the messages that keep a session alive are not.
func TestResultsAreDroppedOrDoubled(t *testing.T) {
	finished := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Result{Result: &gatewayv1.Result{}}}
	alive := &gatewayv1.StreamNodeEventsRequest{Message: &gatewayv1.StreamNodeEventsRequest_Heartbeat{Heartbeat: &gatewayv1.Heartbeat{}}}
	for _, c := range []struct {
		faults  Faults
		results int
		dropped int64
		doubled int64
	}{{Faults{Drop: 1}, 0, 1, 0}, {Faults{Duplicate: 1}, 2, 0, 1}, {Faults{}, 1, 0, 0}} {
		wire := &countingStream{}
		stream := &faultyStream{ClientStream: wire, fleet: &Fleet{Options: Options{Faults: c.faults}}}
		if err := stream.SendMsg(finished); err != nil || wire.messages != c.results {
			t.Errorf("with %s a result was sent %d times (%v), want %d", c.faults, wire.messages, err, c.results)
		}
		before := wire.messages
		if err := stream.SendMsg(alive); err != nil || wire.messages != before+1 {
			t.Errorf("with %s a heartbeat was sent %d times (%v)", c.faults, wire.messages-before, err)
		}
		if f := stream.fleet; f.faultCounters.dropped.Load() != c.dropped || f.faultCounters.duplicated.Load() != c.doubled {
			t.Errorf("with %s %d were counted as dropped, %d as doubled", c.faults, f.faultCounters.dropped.Load(), f.faultCounters.duplicated.Load())
		}
	}
}
