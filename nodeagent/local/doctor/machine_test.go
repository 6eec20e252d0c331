package doctor

import (
	"strings"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
)

func TestTheNextStepOfAnAgentWithoutASessionFollowsFromTheDenial(t *testing.T) {
	for reason, want := range map[string]string{
		gatewayv1.ReasonNodeRevoked:  "under a new name or after the revoked Node is deleted",
		gatewayv1.ReasonNodeDeleted:  "pair this machine again",
		gatewayv1.ReasonNodeNotFound: "pair this machine again",
		gatewayv1.ReasonKeyNotPinned: "stop this agent",
		"":                           "ask the operator of the gateway",
	} {
		if got := nextStepFor(status.Report{LastErrorReason: reason}); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", reason, got, want)
		}
	}
}
