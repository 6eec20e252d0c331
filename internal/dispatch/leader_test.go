package dispatch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// outcome holds the fields of a status that the tests compare.
type outcome struct {
	Phase     v1alpha1.DispatchPhase
	Execution v1alpha1.Execution
	Code      string
}

func outcomeOf(status *v1alpha1.CapabilityDispatchStatus) outcome {
	if status == nil {
		return outcome{}
	}
	o := outcome{Phase: status.Phase, Execution: status.Execution}
	if status.Error != nil {
		o.Code = status.Error.Code
	}
	return o
}

func TestUnstartedNeedsOneOfTheProofs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		d     *v1alpha1.CapabilityDispatch
		facts Facts
		want  bool
	}{
		{"no Node of that name", queuedEcho(), Facts{}, true},
		{"a Node that never had a session", queuedEcho(), Facts{NodeExists: true}, true},
		{"created before the last session was recorded", queuedEcho(), endedSessionFacts(1, 2), true},
		{"created in the very second in which it was recorded", queuedEcho(), endedSessionFacts(0, 1), true},
		{"created during the last session", queuedEcho(), endedSessionFacts(-5, 5), false},
		{"created in the very second in which it ended", queuedEcho(), endedSessionFacts(-5, 0), false},
		{"created two minutes after it ended", queuedEcho(), endedSessionFacts(-200, -120), false},
		{"created over two minutes after it ended", queuedEcho(), endedSessionFacts(-200, -121), true},
		{"created before a live session was recorded", queuedEcho(), Facts{NodeExists: true, SessionLive: true, SessionStarted: at(3)}, true},
		{"created during a live session", queuedEcho(), Facts{NodeExists: true, SessionLive: true, SessionStarted: at(-3)}, false},
		{"claimed, whatever the session", queuedEcho(inPhase(v1alpha1.DispatchDispatched)), endedSessionFacts(1, 2), false},
		{"claimed for a deleted Node", queuedEcho(inPhase(v1alpha1.DispatchDispatched)), Facts{}, false},
		{"a person is asked", queuedEcho(inPhase(v1alpha1.DispatchAwaitingLocalMediation)), endedSessionFacts(1, 2), false},
		{"a phase that is not filled in counts as Queued", queuedEcho(inPhase("")), endedSessionFacts(1, 2), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.facts.ProvenUnstarted(tt.d); got != tt.want {
				t.Errorf("Unstarted = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestLeaderlessSettlesWhatTimeOrPeopleEnded(t *testing.T) {
	deleting, revoked := endedSessionFacts(-5, 5), endedSessionFacts(-5, 5)
	deleting.NodeDeleting, revoked.Revoked = true, true
	deletingUnstarted, revokedUnstarted := endedSessionFacts(1, 2), endedSessionFacts(1, 2)
	deletingUnstarted.NodeDeleting, revokedUnstarted.Revoked = true, true
	live := Facts{NodeExists: true, SessionLive: true, SessionStarted: at(-5), Revoked: true, NodeDeleting: true}

	const (
		rejected, failed     = v1alpha1.DispatchRejected, v1alpha1.DispatchFailed
		timedOut, cancelledP = v1alpha1.DispatchTimedOut, v1alpha1.DispatchCancelled
		notStarted, unknown  = v1alpha1.ExecutionNotStarted, v1alpha1.ExecutionUnknown
	)
	for _, tt := range []struct {
		name  string
		d     *v1alpha1.CapabilityDispatch
		facts Facts
		now   time.Time
		want  outcome
		again time.Duration
	}{
		{"absent Node, before its expiry", queuedEcho(), Facts{}, after(59), outcome{}, time.Second},
		{"absent Node, at its expiry", queuedEcho(), Facts{}, after(60), outcome{timedOut, notStarted, "NodeNotFound"}, 0},
		{"offline Node, at its expiry", queuedEcho(), endedSessionFacts(1, 2), after(60), outcome{timedOut, notStarted, "Expired"}, 0},
		{"may have been offered: not at its expiry", queuedEcho(), endedSessionFacts(-5, 5), after(60), outcome{}, 150 * time.Second},
		{"may have been offered: once a run would be over", queuedEcho(), endedSessionFacts(-5, 5), after(210), outcome{timedOut, unknown, "Timeout"}, 0},
		{"claimed: once a run would be over", queuedEcho(inPhase(v1alpha1.DispatchDispatched)), endedSessionFacts(-5, 5), after(210), outcome{timedOut, unknown, "Timeout"}, 0},
		{"started: before the run and the grace are over", queuedEcho(inPhase(v1alpha1.DispatchDispatched), startedAt(10)), endedSessionFacts(-5, 15), after(159), outcome{}, time.Second},
		{"started: after them, long before the expiry", queuedEcho(inPhase(v1alpha1.DispatchDispatched), startedAt(10)), endedSessionFacts(-5, 15), after(160), outcome{timedOut, unknown, "Timeout"}, 0},
		{"cancelled and proven unstarted", queuedEcho(cancelled), endedSessionFacts(1, 2), after(3), outcome{cancelledP, notStarted, "Cancelled"}, 0},
		{"cancelled and perhaps offered", queuedEcho(cancelled), endedSessionFacts(-5, 2), after(3), outcome{cancelledP, unknown, "Cancelled"}, 0},
		{"cancelled while it ran", queuedEcho(cancelled, inPhase(v1alpha1.DispatchDispatched), startedAt(1)), endedSessionFacts(-5, 2), after(3), outcome{cancelledP, unknown, "Cancelled"}, 0},
		{"Node revoked before it started", queuedEcho(), revokedUnstarted, after(3), outcome{rejected, notStarted, "NodeRevoked"}, 0},
		{"Node revoked, perhaps offered", queuedEcho(), revoked, after(9), outcome{failed, unknown, "NodeRevoked"}, 0},
		{"Node being deleted before it started", queuedEcho(), deletingUnstarted, after(3), outcome{rejected, notStarted, "NodeDeleted"}, 0},
		{"Node being deleted, perhaps offered", queuedEcho(), deleting, after(9), outcome{failed, unknown, "NodeDeleted"}, 0},
		{"Node deleted while it was claimed", queuedEcho(inPhase(v1alpha1.DispatchDispatched)), Facts{}, after(3), outcome{failed, unknown, "NodeDeleted"}, 0},
		{"a live session is left to its gateway", queuedEcho(cancelled), live, after(1000), outcome{}, 0},
		{"finished", queuedEcho(inPhase(v1alpha1.DispatchSucceeded), cancelled), revoked, after(1000), outcome{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := DecideLeaderless(tt.d, tt.facts, tt.now)
			if diff := cmp.Diff(tt.want, outcomeOf(got.Status)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			if got.RequeueAfter != tt.again {
				t.Errorf("RequeueAfter = %v, want %v", got.RequeueAfter, tt.again)
			}
		})
	}
}

func TestResetFailsWhatMayHaveRunAndKeepsTheRest(t *testing.T) {
	for _, tt := range []struct {
		name  string
		d     *v1alpha1.CapabilityDispatch
		facts Facts
		want  outcome
	}{
		{"unclaimed backlog stays Queued", queuedEcho(), endedSessionFacts(1, 2), outcome{}},
		{"perhaps offered without a write", queuedEcho(), endedSessionFacts(-5, 2), outcome{"Failed", "Unknown", "JournalReset"}},
		{"claimed", queuedEcho(inPhase(v1alpha1.DispatchDispatched)), endedSessionFacts(1, 2), outcome{"Failed", "Unknown", "JournalReset"}},
		{"started", queuedEcho(inPhase(v1alpha1.DispatchDispatched), startedAt(1)), endedSessionFacts(-5, 2), outcome{"Failed", "Unknown", "JournalReset"}},
		{"finished", queuedEcho(inPhase(v1alpha1.DispatchCancelled)), endedSessionFacts(-5, 2), outcome{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, outcomeOf(DecideJournalReset(tt.d, tt.facts, after(9)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPolicyUnprovenSaysNotStartedOnlyWhenProven(t *testing.T) {
	for _, tt := range []struct {
		name  string
		d     *v1alpha1.CapabilityDispatch
		facts Facts
		want  outcome
	}{
		{"no session", queuedEcho(), Facts{NodeExists: true}, outcome{"Rejected", "NotStarted", "PolicyUnproven"}},
		{"backlog of a live session, not claimed", queuedEcho(), Facts{NodeExists: true, SessionLive: true, SessionStarted: at(0)}, outcome{"Rejected", "NotStarted", "PolicyUnproven"}},
		{"perhaps offered by a live session", queuedEcho(), Facts{NodeExists: true, SessionLive: true, SessionStarted: at(-1)}, outcome{"Failed", "Unknown", "PolicyUnproven"}},
		{"finished", queuedEcho(inPhase(v1alpha1.DispatchSucceeded)), Facts{}, outcome{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, outcomeOf(FinishPolicyUnproven(tt.d, tt.facts, after(9)))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDeleteAtPrefersTheTTLOfTheDispatch(t *testing.T) {
	done := *DecideLeaderless(queuedEcho(cancelled), Facts{}, after(10)).Status
	ttl := func(n int32) *v1alpha1.CapabilityDispatch {
		d := queuedEcho()
		d.Status, d.Spec.TTLSecondsAfterFinished = done, &n
		return d
	}
	kept := queuedEcho()
	kept.Status = done
	for _, tt := range []struct {
		name      string
		d         *v1alpha1.CapabilityDispatch
		retention time.Duration
		want      time.Time
		ok        bool
	}{
		{"unfinished", queuedEcho(), time.Minute, time.Time{}, false},
		{"kept by default", kept, 0, after(10), false},
		{"retention of the manager", kept, time.Minute, after(70), true},
		{"its own, longer than the retention", ttl(3600), time.Minute, after(3610), true},
		{"its own of zero deletes at once", ttl(0), 0, after(10), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at, ok := DeletionTime(tt.d, tt.retention)
			if !at.Equal(tt.want) || ok != tt.ok {
				t.Errorf("DeleteAt = %v, %v, want %v, %v", at, ok, tt.want, tt.ok)
			}
		})
	}
}
