package dispatch

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const (
	maxProgressChars  = 256 // status.progress.message
	maxAskedUserChars = 256 // status.mediation.askedUser
)

// Claim marks a dispatch as taken by the holder of the session before it is offered. It makes no
// statement about the run.
func Claim(status v1alpha1.CapabilityDispatchStatus, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	return step(status, v1alpha1.DispatchDispatched, gateway, now)
}

// Dispatched records that the agent accepted the dispatch, which is now in the machine's journal.
func Dispatched(status v1alpha1.CapabilityDispatchStatus, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	phase := v1alpha1.DispatchDispatched
	if status.Phase == v1alpha1.DispatchAwaitingLocalMediation {
		phase = status.Phase // only [Mediated] moves the phase back
	}
	next := step(status, phase, gateway, now)
	delivered(&next, now)
	return next
}

// AwaitMediation records that a person at the machine is being asked. since is the agent's time of
// the question; a time in the future counts as now.
func AwaitMediation(status v1alpha1.CapabilityDispatchStatus, user string, since time.Time, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) || status.Execution == v1alpha1.ExecutionStarted {
		return status
	}
	next := step(status, v1alpha1.DispatchAwaitingLocalMediation, gateway, now)
	delivered(&next, now)
	asked := metav1.NewTime(within(since, now).Truncate(time.Second))
	next.Mediation = &v1alpha1.DispatchMediation{AskedUser: line(user, maxAskedUserChars), Since: &asked}
	return next
}

// Mediated records that the person approved, so the phase is Dispatched again. A denial is a
// Result.
func Mediated(status v1alpha1.CapabilityDispatchStatus, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	next := step(status, v1alpha1.DispatchDispatched, gateway, now)
	delivered(&next, now)
	return next
}

// Progressed records the latest progress of a running capability, which proves that it started.
// percent is limited to 0..100 and the message to 256 characters.
func Progressed(status v1alpha1.CapabilityDispatchStatus, percent int32, message, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	next := step(status, v1alpha1.DispatchDispatched, gateway, now)
	delivered(&next, now)
	next.Execution = advance(status.Execution, v1alpha1.ExecutionStarted)
	if next.StartedTime == nil {
		started := metav1.NewMicroTime(now)
		next.StartedTime = &started
	}
	next.Progress = &v1alpha1.DispatchProgress{Percent: min(max(percent, 0), 100), Message: line(message, maxProgressChars)}
	return next
}

// step returns the status of an unfinished dispatch in another phase that is not terminal.
func step(status v1alpha1.CapabilityDispatchStatus, phase v1alpha1.DispatchPhase, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	next := *status.DeepCopy()
	next.Phase = phase
	next.Gateway = gateway
	if next.DispatchedTime == nil {
		at := metav1.NewMicroTime(now)
		next.DispatchedTime = &at
	}
	return next
}

// delivered sets the condition Delivered, in place.
func delivered(status *v1alpha1.CapabilityDispatchStatus, now time.Time) {
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionDelivered, Status: metav1.ConditionTrue,
		Reason: string(v1alpha1.DispatchDispatched), LastTransitionTime: metav1.NewTime(now),
	})
}
