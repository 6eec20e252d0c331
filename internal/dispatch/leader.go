package dispatch

import (
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// ResultGrace is how long the leader waits for the result of a run past its end when no session
// is live, so that a machine that reconnects still reports its own outcome.
const ResultGrace = 2 * time.Minute

// LeaderVerdict is what the leader does with a dispatch of a Node without a live session.
type LeaderVerdict struct {
	// Status is to be written, under compare-and-swap; nil: nothing is to be written now.
	Status *v1alpha1.CapabilityDispatchStatus
	// RequeueAfter is when time alone changes the verdict; zero: it does not.
	RequeueAfter time.Duration
}

// Leaderless decides what becomes of a dispatch from outside any session. While a session is live
// it decides nothing: the gateway that holds it does.
func Leaderless(d *v1alpha1.CapabilityDispatch, facts Facts, now time.Time) LeaderVerdict {
	if Finished(d.Status) || facts.SessionLive {
		return LeaderVerdict{}
	}
	unstarted := facts.Unstarted(d)
	switch {
	case facts.NodeDeleting, !facts.NodeExists && !queued(d.Status):
		return settled(withdraw(d, unstarted, v1alpha1.ErrorNodeDeleted, "the Node was deleted", now))
	case facts.Revoked:
		return settled(withdraw(d, unstarted, v1alpha1.ErrorNodeRevoked, "the Node was revoked", now))
	case d.Spec.Cancel:
		return settled(cancel(d, unstarted, now))
	}
	if c := WithdrawnFor(d.Status); c != nil {
		due := c.LastTransitionTime.Add(ResultGrace)
		if now.Before(due) {
			return LeaderVerdict{RequeueAfter: due.Sub(now)}
		}
		return settled(Unconfirmed(d.Status, now))
	}
	if due := deadline(d, unstarted); now.Before(due) {
		return LeaderVerdict{RequeueAfter: due.Sub(now)}
	}
	return settled(expire(d, facts, unstarted, now))
}

// Reset decides what a lost, older or foreign journal means for a dispatch of its Node: nil when
// it is proven unstarted and stays Queued, else it failed and may have run. The facts are those
// of the last recorded session, before the one that found out.
func Reset(d *v1alpha1.CapabilityDispatch, facts Facts, now time.Time) *v1alpha1.CapabilityDispatchStatus {
	if Finished(d.Status) || facts.Unstarted(d) {
		return nil
	}
	next := forgotten(d, now)
	return &next
}

// forgotten ends a dispatch that its machine may have run and does not remember.
func forgotten(d *v1alpha1.CapabilityDispatch, now time.Time) v1alpha1.CapabilityDispatchStatus {
	return finish(d.Status, end{v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorJournalReset,
		"the journal of the machine was lost, is an old copy or came from another machine: it may have run"}, now)
}

// PolicyUnproven ends a dispatch that was created while the admission policies were not proven to
// work, so that nobody knows whether its creator was allowed to. It applies with and without a
// session; nil when it is finished already.
func PolicyUnproven(d *v1alpha1.CapabilityDispatch, facts Facts, now time.Time) *v1alpha1.CapabilityDispatchStatus {
	if Finished(d.Status) {
		return nil
	}
	next := withdraw(d, facts.Unstarted(d), v1alpha1.ErrorPolicyUnproven,
		"it was created while the admission policies were not proven: create it again when the controller is ready", now)
	return &next
}

func settled(status v1alpha1.CapabilityDispatchStatus) LeaderVerdict {
	return LeaderVerdict{Status: &status}
}

// withdraw ends a dispatch that shall not run: Rejected if that is proven, else Failed.
func withdraw(d *v1alpha1.CapabilityDispatch, unstarted bool, code, why string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if unstarted {
		return refuse(d.Status, v1alpha1.DispatchRejected, code, why, now)
	}
	return finish(d.Status, end{v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, code, why + "; it may have run"}, now)
}

func cancel(d *v1alpha1.CapabilityDispatch, unstarted bool, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if unstarted {
		return refuse(d.Status, v1alpha1.DispatchCancelled, v1alpha1.ErrorCancelled, messageCancelled, now)
	}
	return finish(d.Status, end{v1alpha1.DispatchCancelled, v1alpha1.ExecutionUnknown, v1alpha1.ErrorCancelled,
		"spec.cancel was set while the machine could not be reached: it may have run"}, now)
}

// deadline is when the leader gives up on a dispatch: at its expiry if it is proven unstarted,
// else when even a run that began in the last moment is over and had time to be reported.
func deadline(d *v1alpha1.CapabilityDispatch, unstarted bool) time.Time {
	switch {
	case unstarted:
		return Expires(d)
	case d.Status.StartedTime != nil:
		return d.Status.StartedTime.Add(Timeout(d) + ResultGrace)
	default:
		return Expires(d).Add(Timeout(d) + ResultGrace)
	}
}

func expire(d *v1alpha1.CapabilityDispatch, facts Facts, unstarted bool, now time.Time) v1alpha1.CapabilityDispatchStatus {
	switch {
	case unstarted && !facts.NodeExists:
		return refuse(d.Status, v1alpha1.DispatchTimedOut, v1alpha1.ErrorNodeNotFound,
			"there was no Node of that name: "+expiredMessage(d), now)
	case unstarted:
		return refuse(d.Status, v1alpha1.DispatchTimedOut, v1alpha1.ErrorExpired, expiredMessage(d), now)
	default:
		return finish(d.Status, end{v1alpha1.DispatchTimedOut, v1alpha1.ExecutionUnknown, v1alpha1.ErrorTimeout,
			"no result arrived within the expiry and the run time: it may have run"}, now)
	}
}
