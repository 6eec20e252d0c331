package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/nodeagent/local/status"
	"github.com/mooring-dev/mooring/nodeagent/service"
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

// TestTheServiceLineHasNoEmptyParts prints the line with every combination of its four parts.
func TestTheServiceLineHasNoEmptyParts(t *testing.T) {
	parts := []string{"Running", "auto-restart", "systemd, for the machine", "no service manager"}
	for present := range 1 << len(parts) {
		var chosen [4]string
		var want []string
		for i, part := range parts {
			if present&(1<<i) != 0 {
				chosen[i], want = part, append(want, part)
			}
		}
		t.Run(fmt.Sprintf("%04b", present), func(t *testing.T) {
			var out strings.Builder
			o := overview{Service: service.Status{State: service.State(chosen[0]), Detail: chosen[1]}, Manager: chosen[2], ServiceProblem: chosen[3]}
			if err := o.print(&out, time.Now()); err != nil {
				t.Fatal(err)
			}
			line, _, _ := strings.Cut(out.String(), "\n")
			key, value, _ := strings.Cut(line, ":")
			if key != "Service" || strings.TrimSpace(value) != strings.Join(want, "; ") {
				t.Errorf("got %q, want %q", line, want)
			}
		})
	}
}

func TestStatusShowsTheRequestThatWaits(t *testing.T) {
	for name, c := range map[string]struct {
		report status.Report
		want   []string
	}{
		"before the request": {status.Report{Phase: status.Pairing}, []string{"Agent: Pairing,"}},
		"no message yet":     {status.Report{Phase: status.Pairing, PairingRequest: "fleet/r"}, []string{"Agent: Pairing,", "Pairing request: fleet/r"}},
		"with a message":     {status.Report{Phase: status.Pairing, PairingRequest: "fleet/r", PairingMessage: "ask ada"}, []string{"Agent: Pairing,", "Pairing request: fleet/r: ask ada"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			o := overview{Running: true, Agent: &c.report}
			if err := o.print(&out, time.Now()); err != nil {
				t.Fatal(err)
			}
			words := strings.Join(strings.Fields(out.String()), " ")
			for _, want := range c.want {
				if !strings.Contains(words, want) {
					t.Errorf("got %q, want %q", words, want)
				}
			}
			if empty := c.report.PairingMessage == "" && strings.HasSuffix(words, ":"); empty || strings.Contains(words, "Pairing request:") != (c.report.PairingRequest != "") {
				t.Errorf("got %q", words)
			}
		})
	}
}
