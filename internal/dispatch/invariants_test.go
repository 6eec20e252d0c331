package dispatch

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// checkTransition reports a violation of the CEL rule of the kind for transitions of the status. It
// implements the rule a second time.
func checkTransition(old, new v1alpha1.CapabilityDispatchStatus) error {
	if old.Phase.Terminal() && new.Phase != old.Phase {
		return fmt.Errorf("terminal phase went from %s to %s", old.Phase, new.Phase)
	}
	if old.Phase != v1alpha1.DispatchQueued && new.Phase == v1alpha1.DispatchQueued {
		return fmt.Errorf("phase went back from %s to Queued", old.Phase)
	}
	next := map[v1alpha1.Execution][]v1alpha1.Execution{
		"": {"", "NotStarted", "Started", "Finished", "Unknown"}, "Started": {"Started", "Finished", "Unknown"},
		"Unknown": {"Unknown", "Finished", "NotStarted"}, "NotStarted": {"NotStarted"}, "Finished": {"Finished"},
	}
	if !slices.Contains(next[old.Execution], new.Execution) {
		return fmt.Errorf("execution went from %q to %q", old.Execution, new.Execution)
	}
	return nil
}

// checkConsistent returns an error if a finished dispatch contradicts itself.
func checkConsistent(s v1alpha1.CapabilityDispatchStatus) error {
	if !Finished(s) {
		return nil
	}
	switch {
	case s.CompletedTime == nil:
		return errors.New("finished without completedTime")
	case s.Execution == "" || s.Execution == v1alpha1.ExecutionStarted:
		return fmt.Errorf("finished with execution %q", s.Execution)
	case s.Phase == v1alpha1.DispatchSucceeded && s.Execution != v1alpha1.ExecutionFinished:
		return fmt.Errorf("Succeeded with execution %s", s.Execution)
	case s.Phase == v1alpha1.DispatchRejected && s.Execution != v1alpha1.ExecutionNotStarted:
		return fmt.Errorf("Rejected with execution %s", s.Execution)
	case s.Execution == v1alpha1.ExecutionNotStarted && s.Output != nil:
		return errors.New("output of something that never started")
	case s.Phase != v1alpha1.DispatchSucceeded && s.Error == nil:
		return fmt.Errorf("%s without an error", s.Phase)
	}
	return nil
}

func TestNoStepBreaksTheRulesOfTheKind(t *testing.T) {
	phases := []v1alpha1.DispatchPhase{"Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled", "", "Nonsense"}
	executions := []v1alpha1.Execution{"", "NotStarted", "Started", "Finished", "Unknown"}
	rapid.Check(t, func(t *rapid.T) {
		d := queuedEcho()
		d.Spec.Cancel = rapid.Bool().Draw(t, "cancel")
		now := t0
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			before := *d.Status.DeepCopy()
			var next v1alpha1.CapabilityDispatchStatus
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				next = Claim(d.Status, "gw", now)
			case 1:
				next = MarkAccepted(d.Status, "gw", now)
			case 2:
				next = MarkAwaitingMediation(d.Status, "user", now, "gw", now)
			case 3:
				next = MarkMediated(d.Status, "gw", now)
			case 4:
				next = MarkProgress(d.Status, rapid.Int32().Draw(t, "percent"), rapid.String().Draw(t, "message"), "gw", now)
			case 5:
				next = statusOr(d, DecideJournalReset(d, drawFacts(t), now))
			case 6:
				next = statusOr(d, FinishPolicyUnproven(d, drawFacts(t), now))
			case 7:
				next = statusOr(d, DecideLeaderless(d, drawFacts(t), now).Status)
			default:
				r := Result{
					Outcome: rapid.SampledFrom(phases).Draw(t, "outcome"), Execution: rapid.SampledFrom(executions).Draw(t, "execution"),
					Output: rapid.SliceOf(rapid.Byte()).Draw(t, "output"), Truncated: rapid.Bool().Draw(t, "cut"),
					ErrorCode: rapid.String().Draw(t, "code"), ErrorMessage: rapid.String().Draw(t, "words"), MaxPayloadBytes: 16,
				}
				var write bool
				if next, write = Settle(d.Status, r, "gw", now); write == cmp.Equal(before, next) {
					t.Fatalf("write = %v but the status went from %+v to %+v", write, before, next)
				}
			}
			if !cmp.Equal(before, d.Status) {
				t.Fatal("a step changed its argument")
			}
			if err := errors.Join(checkTransition(before, next), checkConsistent(next)); err != nil {
				t.Fatal(err)
			}
			d.Status = next
		}
	})
}

// After any history of sessions the leader never writes NotStarted for a dispatch that a machine
// may have started. Each session reconciles the machine's journal (its Hello) before it is
// recorded.
func TestLeaderNeverDeniesARun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := queuedEcho()
		second, journaled := rapid.IntRange(-300, 0).Draw(t, "first session"), false
		facts := Facts{NodeExists: true}
		for range rapid.IntRange(0, 4).Draw(t, "sessions") {
			started := second
			ended := started + rapid.IntRange(0, 300).Draw(t, "lasting")
			if journaled {
				d.Status = MarkAccepted(d.Status, "gw", after(started))
			}
			if rapid.Bool().Draw(t, "offers") && ended >= 0 { // the dispatch existed, perhaps only in the last second
				if NeedsClaim(d, *at(started)) {
					d.Status = Claim(d.Status, "gw", after(ended))
				}
				journaled = journaled || rapid.Bool().Draw(t, "the offer arrives")
			}
			facts = endedSessionFacts(started, ended)
			second = ended + 1 + rapid.IntRange(0, 200).Draw(t, "away")
		}
		facts.Revoked = rapid.Bool().Draw(t, "revoked")
		verdict := DecideLeaderless(d, facts, after(10_000))
		if verdict.Status == nil {
			t.Fatal("nothing was settled after every deadline")
		}
		if journaled && verdict.Status.Execution == v1alpha1.ExecutionNotStarted {
			t.Fatalf("journaled, but NotStarted by %+v", facts)
		}
	})
}

func statusOr(d *v1alpha1.CapabilityDispatch, next *v1alpha1.CapabilityDispatchStatus) v1alpha1.CapabilityDispatchStatus {
	if next == nil {
		return d.Status
	}
	return *next
}

func drawFacts(t *rapid.T) Facts {
	f := Facts{NodeExists: rapid.Bool().Draw(t, "exists"), NodeDeleting: rapid.Bool().Draw(t, "deleting"), Revoked: rapid.Bool().Draw(t, "revoked")}
	if !rapid.Bool().Draw(t, "never connected") {
		f.SessionStarted = at(rapid.IntRange(-300, 300).Draw(t, "started"))
		if f.SessionLive = rapid.Bool().Draw(t, "live"); !f.SessionLive {
			f.SessionEnded = at(rapid.IntRange(0, 600).Draw(t, "ended"))
		}
	}
	return f
}
