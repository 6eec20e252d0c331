package agent_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

// TestAMachineGivesUpAnOutputThatIsRefusedTwice runs a gateway that ends each session because of
// the result of one dispatch. After the second time the machine sends the result without its
// output.
func TestAMachineGivesUpAnOutputThatIsRefusedTwice(t *testing.T) {
	m, s := newMachine(t)
	m.sendOffer(s, "a", 0, inOneHour())
	for range 2 {
		m.wantResult(s, "a", succeeded, finished)
		s.End(status.Error(codes.ResourceExhausted, "the message is too large"))
		s = m.gateway.Node.NextSession(t)
	}
	got := fakegateway.AwaitMessage(t, s, func(r *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Result { return r.GetResult() })
	if got.GetOutcome() != failed || got.GetExecution() != finished || got.GetErrorCode() != "InvalidOutput" || len(got.GetOutput()) > 0 {
		t.Errorf("the third result is %v", got)
	}
	m.sendSettled(s, "a")
	m.sendOffer(s, "b", 0, inOneHour())
	m.wantResult(s, "b", succeeded, finished)
	m.wantRuns("a b")
}
