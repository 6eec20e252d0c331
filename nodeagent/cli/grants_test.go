package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/local/status"
)

// TestStatusShowsGrantsWithTheirTime checks that status shows the time of the grants. The cluster
// sends the grants when a session opens, so a later change is not shown.
func TestStatusShowsGrantsWithTheirTime(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		capability status.Capability
		granted    time.Time
		want       string
	}{
		{status.Capability{Name: "echo", Granted: true}, at, "echo"},
		{status.Capability{Name: "echo"}, at, "echo (not granted at 2030-01-02T03:04:05Z)"},
		{status.Capability{Name: "echo"}, time.Time{}, "echo (no session yet, so its grant is not known)"},
		{status.Capability{Name: "echo", Granted: true, Reason: "full"}, at, "echo (unavailable: full)"},
	} {
		if got := formatCapability(c.capability, c.granted); got != c.want {
			t.Errorf("%+v: %q, want %q", c.capability, got, c.want)
		}
	}
	o := overview{Running: true, Agent: &status.Report{Phase: status.Connecting, GrantsTime: at, Capabilities: []status.Capability{{Name: "echo", Granted: true}}}}
	var out strings.Builder
	if err := o.print(&out, at); err != nil || !strings.Contains(out.String(), "of 2030-01-02T03:04:05Z; a later change in the cluster is not shown") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}
