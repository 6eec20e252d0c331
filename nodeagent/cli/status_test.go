package cli

import (
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
)

// TestStatusShowsTheNextStepForADenial verifies that status distinguishes denials by their reason, and
// shows no next step for an error without a known reason.
func TestStatusShowsTheNextStepForADenial(t *testing.T) {
	for reason, want := range map[string]string{
		gatewayv1.ReasonNodeRevoked:  "under a new name or after the revoked Node is deleted",
		gatewayv1.ReasonNodeDeleted:  "pair this machine again with another --identity-dir\n",
		gatewayv1.ReasonKeyNotPinned: "stop this agent; otherwise pair this machine again",
		gatewayv1.ReasonRateLimited:  "",
		"":                           "",
	} {
		var out strings.Builder
		o := overview{Running: true, Agent: &status.Report{Phase: status.Connecting, LastError: "problem", LastErrorReason: reason}}
		if err := o.print(&out, time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, next, found := strings.Cut(out.String(), "Next step:"); found != (want != "") || !strings.Contains(next, want) {
			t.Errorf("%s: %q, want %q", reason, out.String(), want)
		}
	}
}
