package agent_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/gatewaytest"
)

// TestAMachineGivesUpAnOutputThatIsRefusedTwice runs a gateway that ends each session because of
// the result of one dispatch. After the second time the machine sends the result without its
// output.
func TestAMachineGivesUpAnOutputThatIsRefusedTwice(t *testing.T) {
	m, s := newMachine(t)
	m.offer(s, "a", 0, later())
	for range 2 {
		m.wantResult(s, "a", succeeded, finished)
		s.End(status.Error(codes.ResourceExhausted, "the message is too large"))
		s = m.gateway.Node.Next(t)
	}
	got := gatewaytest.Await(t, s, func(r *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Result { return r.GetResult() })
	if got.GetOutcome() != failed || got.GetExecution() != finished || got.GetErrorCode() != "InvalidOutput" || len(got.GetOutput()) > 0 {
		t.Errorf("the third result is %v", got)
	}
	m.settle(s, "a")
	m.offer(s, "b", 0, later())
	m.wantResult(s, "b", succeeded, finished)
	m.wantRuns("a b")
}
