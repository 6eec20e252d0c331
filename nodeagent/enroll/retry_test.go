package enroll_test

import (
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mooring-dev/mooring/nodeagent/gatewaytest"
)

// A gateway that has no room says when to come back: earlier tries would only use up the code.
func TestTheAgentComesBackWhenTheGatewayAsksIt(t *testing.T) {
	const wait = 300 * time.Millisecond
	g := gatewaytest.Start(t)
	var calls []time.Time
	g.Pairing.Begin = func() error {
		if calls = append(calls, time.Now()); len(calls) > 1 {
			return nil
		}
		full, err := status.New(codes.ResourceExhausted, "too many pairing requests").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
		if err != nil {
			return err
		}
		return full.Err()
	}
	m := newMachine(t, g)
	if err := m.pair(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 2 || calls[1].Sub(calls[0]) < wait {
		t.Errorf("called at %v, want the second at least %s after the first", calls, wait)
	}
}
