package dispatch

import (
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// ResultGrace is the time that the leader waits for a result after the end of a run, while no
// session is live. A machine that reconnects within it can still report its own outcome.
const ResultGrace = 2 * time.Minute

// LeaderVerdict is the leader's decision about a dispatch of a Node without a live session.
type LeaderVerdict struct {
	// Status must be written with a compare-and-swap; nil: nothing must be written now.
	Status *v1alpha1.CapabilityDispatchStatus
	// RequeueAfter is the time after which the verdict changes without an event; zero: never.
	RequeueAfter time.Duration
}

// DecideLeaderless decides about a dispatch outside any session. While a session is live it decides
// nothing, because the gateway of that session decides.
func DecideLeaderless(d *v1alpha1.CapabilityDispatch, facts Facts, now time.Time) LeaderVerdict {
	if Finished(d.Status) || facts.SessionLive {
		return LeaderVerdict{}
	}
	unstarted := facts.ProvenUnstarted(d)
	switch {
	case facts.NodeDeleting, !facts.NodeExists && !isQueued(d.Status):
		return settleVerdict(finishWithdrawn(d, unstarted, v1alpha1.ErrorNodeDeleted, "the Node was deleted", now))
	case facts.Revoked:
		return settleVerdict(finishWithdrawn(d, unstarted, v1alpha1.ErrorNodeRevoked, "the Node was revoked", now))
	case d.Spec.Cancel:
		return settleVerdict(finishCancelled(d, unstarted, now))
	}
	if c := WithdrawnCondition(d.Status); c != nil {
		due := c.LastTransitionTime.Add(ResultGrace)
		if now.Before(due) {
			return LeaderVerdict{RequeueAfter: due.Sub(now)}
		}
		return settleVerdict(FinishUnconfirmed(d.Status, now))
	}
	if due := deadline(d, unstarted); now.Before(due) {
		return LeaderVerdict{RequeueAfter: due.Sub(now)}
	}
	return settleVerdict(finishExpired(d, facts, unstarted, now))
}

// DecideJournalReset returns the status of a dispatch whose Node came back with a lost, older or
// foreign journal. It returns nil if the dispatch is proven unstarted and stays Queued. Otherwise
// the dispatch failed and may have run. The facts must describe the last recorded session, which is
// the session before the one that detected the journal.
func DecideJournalReset(d *v1alpha1.CapabilityDispatch, facts Facts, now time.Time) *v1alpha1.CapabilityDispatchStatus {
	if Finished(d.Status) || facts.ProvenUnstarted(d) {
		return nil
	}
	next := finishJournalReset(d, now)
	return &next
}

// finishJournalReset returns the end of a dispatch that the machine may have run but has no record
// of.
func finishJournalReset(d *v1alpha1.CapabilityDispatch, now time.Time) v1alpha1.CapabilityDispatchStatus {
	return finishStatus(d.Status, terminalOutcome{v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorJournalReset,
		"the journal of the machine was lost, is an old copy or came from another machine: it may have run"}, now)
}

// FinishPolicyUnproven returns the end of a dispatch that was created while the admission policies
// were not proven to work: whether its creator had the right is unknown. It applies with and
// without a session. It returns nil if the dispatch is already finished.
func FinishPolicyUnproven(d *v1alpha1.CapabilityDispatch, facts Facts, now time.Time) *v1alpha1.CapabilityDispatchStatus {
	if Finished(d.Status) {
		return nil
	}
	next := finishWithdrawn(d, facts.ProvenUnstarted(d), v1alpha1.ErrorPolicyUnproven,
		"it was created while the admission policies were not proven: create it again when the controller is ready", now)
	return &next
}

func settleVerdict(status v1alpha1.CapabilityDispatchStatus) LeaderVerdict {
	return LeaderVerdict{Status: &status}
}

// finishWithdrawn returns the end of a dispatch that must not run: Rejected if that is proven, else
// Failed.
func finishWithdrawn(d *v1alpha1.CapabilityDispatch, unstarted bool, code, reason string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if unstarted {
		return finishUnstarted(d.Status, v1alpha1.DispatchRejected, code, reason, now)
	}
	return finishStatus(d.Status, terminalOutcome{v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, code, reason + "; it may have run"}, now)
}

func finishCancelled(d *v1alpha1.CapabilityDispatch, unstarted bool, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if unstarted {
		return finishUnstarted(d.Status, v1alpha1.DispatchCancelled, v1alpha1.ErrorCancelled, messageCancelled, now)
	}
	return finishStatus(d.Status, terminalOutcome{v1alpha1.DispatchCancelled, v1alpha1.ExecutionUnknown, v1alpha1.ErrorCancelled,
		"spec.cancel was set while the machine could not be reached: it may have run"}, now)
}

// deadline returns when the leader gives up on a dispatch. That is the expiry if the dispatch is
// proven unstarted. Otherwise it is the time by which even a run that began at the last moment must
// have ended and been reported.
func deadline(d *v1alpha1.CapabilityDispatch, unstarted bool) time.Time {
	switch {
	case unstarted:
		return ExpiryTime(d)
	case d.Status.StartedTime != nil:
		return d.Status.StartedTime.Add(RunTimeout(d) + ResultGrace)
	default:
		return ExpiryTime(d).Add(RunTimeout(d) + ResultGrace)
	}
}

func finishExpired(d *v1alpha1.CapabilityDispatch, facts Facts, unstarted bool, now time.Time) v1alpha1.CapabilityDispatchStatus {
	switch {
	case unstarted && !facts.NodeExists:
		return finishUnstarted(d.Status, v1alpha1.DispatchTimedOut, v1alpha1.ErrorNodeNotFound,
			"there was no Node of that name: "+expiredMessage(d), now)
	case unstarted:
		return finishUnstarted(d.Status, v1alpha1.DispatchTimedOut, v1alpha1.ErrorExpired, expiredMessage(d), now)
	default:
		return finishStatus(d.Status, terminalOutcome{v1alpha1.DispatchTimedOut, v1alpha1.ExecutionUnknown, v1alpha1.ErrorTimeout,
			"no result arrived within the expiry and the run time: it may have run"}, now)
	}
}
