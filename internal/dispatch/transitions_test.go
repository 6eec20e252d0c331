package dispatch

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// A repeated report does not change the time that the first one set.
func TestAStepThatIsHeardAgainKeepsItsFirstTime(t *testing.T) {
	status := Claim(queuedEcho().Status, "gw", after(1))
	status = MarkAccepted(status, "gw", after(2))
	status = MarkProgress(status, 10, "", "gw", after(3))
	status = MarkProgress(MarkAccepted(status, "gw", after(4)), 20, "", "gw", after(5))
	if status.DispatchedTime == nil || !status.DispatchedTime.Time.Equal(after(1)) {
		t.Errorf("dispatchedTime = %v, want that of the claim", status.DispatchedTime)
	}
	if status.StartedTime == nil || !status.StartedTime.Time.Equal(after(3)) {
		t.Errorf("startedTime = %v, want that of the first progress", status.StartedTime)
	}
}

// A repeated acceptance does not undo the question to a person.
func TestAnAcceptanceThatIsHeardAgainKeepsTheQuestion(t *testing.T) {
	asked := MarkAwaitingMediation(queuedEcho(accepted).Status, "ada", after(1), "gw", after(1))
	if asked.Phase != v1alpha1.DispatchAwaitingLocalMediation || asked.Mediation == nil {
		t.Fatalf("a person is asked: %+v", asked)
	}
	if again := MarkAccepted(asked, "gw", after(2)); again.Phase != v1alpha1.DispatchAwaitingLocalMediation {
		t.Errorf("after a second acceptance: %s", again.Phase)
	}
	if first := MarkAccepted(queuedEcho().Status, "gw", after(2)); first.Phase != v1alpha1.DispatchDispatched {
		t.Errorf("after the first acceptance: %s", first.Phase)
	}
	if yes := MarkMediated(asked, "gw", after(3)); yes.Phase != v1alpha1.DispatchDispatched {
		t.Errorf("after the yes: %s", yes.Phase)
	}
}

// A run that has started is never put back to a question.
func TestARunThatStartedIsNoQuestion(t *testing.T) {
	running := queuedEcho(inPhase(v1alpha1.DispatchDispatched), startedAt(1)).Status
	if got := MarkAwaitingMediation(running, "ada", after(2), "gw", after(2)); got.Phase != v1alpha1.DispatchDispatched || got.Mediation != nil {
		t.Errorf("a run that started is asked about: %+v", got)
	}
}

// A report that arrives after the end changes nothing.
func TestAStepAfterTheEndChangesNothing(t *testing.T) {
	ended, _ := Settle(queuedEcho().Status, Result{Outcome: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished}, "gw", after(1))
	for name, next := range map[string]v1alpha1.CapabilityDispatchStatus{
		"claimed":     Claim(ended, "other", after(2)),
		"accepted":    MarkAccepted(ended, "other", after(2)),
		"progress":    MarkProgress(ended, 10, "half", "other", after(2)),
		"a question":  MarkAwaitingMediation(ended, "ada", after(2), "other", after(2)),
		"an approval": MarkMediated(ended, "other", after(2)),
	} {
		if diff := cmp.Diff(ended, next); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}
