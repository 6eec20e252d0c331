package dispatch

import (
	"slices"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestTerminalPhasesAreAllThatAreTerminal(t *testing.T) {
	for _, phase := range []v1alpha1.DispatchPhase{"Queued", "Dispatched", "AwaitingLocalMediation", "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"} {
		if listed := slices.Contains(TerminalPhases(), phase); listed != Terminal(phase) {
			t.Errorf("%s is listed: %t, terminal: %t", phase, listed, Terminal(phase))
		}
	}
}
