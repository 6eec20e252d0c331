package session_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/transport"
	"github.com/mooring-dev/mooring/test/fakegateway"
)

var errTooLarge = status.Error(codes.ResourceExhausted, "grpc: received message larger than max")

// awaitResults waits for n results, of any dispatch.
func awaitResults(t *testing.T, s *fakegateway.Session, n int) map[string]*gatewayv1.Result {
	t.Helper()
	found := map[string]*gatewayv1.Result{}
	for len(found) < n {
		r := fakegateway.AwaitMessage(t, s, func(m *gatewayv1.StreamNodeEventsRequest) *gatewayv1.Result { return m.GetResult() })
		found[r.GetDispatch().GetUid()] = r
	}
	return found
}

// TestAResultThatAGatewayRefusesKeepsNoOtherBack uses a gateway that ends the session whenever it
// receives the result of "poison". The other results must arrive. When the gateway refuses that
// result alone for the second time, the agent must drop its output.
func TestAResultThatAGatewayRefusesKeepsNoOtherBack(t *testing.T) {
	for name, kind := range map[string]transport.Kind{"stream": transport.Stream, "poll": transport.Poll} {
		t.Run(name, func(t *testing.T) {
			g := fakegateway.Start(t)
			a := &agent{transport: kind}
			a.start(t, g, time.Hour)
			s := g.Node.NextSession(t)
			for _, uid := range []string{"a", "poison", "z"} {
				s.Send(t, offer(uid, "echo"))
			}
			awaitResults(t, s, 3)
			s.End(errTooLarge)

			s = g.Node.NextSession(t)
			arrived := map[string]bool{}
			for refused := false; !refused; {
				for uid := range awaitResults(t, s, 1) { // one at a time
					if refused = uid == "poison"; !refused {
						arrived[uid] = true
						s.Send(t, settled(uid))
					}
				}
			}
			s.End(errTooLarge)

			s = g.Node.NextSession(t)
			for uid, r := range awaitResults(t, s, 3-len(arrived)) {
				if uid == "poison" && (r.GetErrorCode() != "InvalidOutput" || r.GetOutcome() != gatewayv1.Result_OUTCOME_FAILED ||
					r.GetExecution() != gatewayv1.Result_EXECUTION_FINISHED || len(r.GetOutput()) != 0) {
					t.Errorf("the refused result is now %v", r)
				} else if uid != "poison" && len(r.GetOutput()) == 0 {
					t.Errorf("the output of %s is lost", uid)
				}
				arrived[uid] = true
				s.Send(t, settled(uid))
			}
			if len(arrived) != 3 {
				t.Errorf("only %v arrived", arrived)
			}
			s.Send(t, offer("next", "echo"))
			if r := awaitResult(t, s, "next"); len(r.GetOutput()) == 0 {
				t.Errorf("the next dispatch: %v", r)
			}
		})
	}
}
