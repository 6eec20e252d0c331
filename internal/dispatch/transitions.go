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
	return moveToPhase(status, v1alpha1.DispatchDispatched, gateway, now)
}

// MarkAccepted records that the agent accepted the dispatch, which is now in the machine's journal.
func MarkAccepted(status v1alpha1.CapabilityDispatchStatus, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	phase := v1alpha1.DispatchDispatched
	if status.Phase == v1alpha1.DispatchAwaitingLocalMediation {
		phase = status.Phase // only [MarkMediated] moves the phase back
	}
	next := moveToPhase(status, phase, gateway, now)
	setDelivered(&next, now)
	return next
}

// MarkAwaitingMediation records that a person at the machine is being asked. since is the agent's
// time of the question; a time in the future counts as now.
func MarkAwaitingMediation(status v1alpha1.CapabilityDispatchStatus, user string, since time.Time, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) || status.Execution == v1alpha1.ExecutionStarted {
		return status
	}
	next := moveToPhase(status, v1alpha1.DispatchAwaitingLocalMediation, gateway, now)
	setDelivered(&next, now)
	asked := metav1.NewTime(clampTime(since, now).Truncate(time.Second))
	next.Mediation = &v1alpha1.DispatchMediation{AskedUser: cleanLine(user, maxAskedUserChars), Since: &asked}
	return next
}

// MarkMediated records that the person approved, so the phase is Dispatched again. A denial is a
// Result.
func MarkMediated(status v1alpha1.CapabilityDispatchStatus, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	next := moveToPhase(status, v1alpha1.DispatchDispatched, gateway, now)
	setDelivered(&next, now)
	return next
}

// MarkProgress records the latest progress of a running capability, which proves that it started.
// percent is limited to 0..100 and the message to 256 characters.
func MarkProgress(status v1alpha1.CapabilityDispatchStatus, percent int32, message, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	next := moveToPhase(status, v1alpha1.DispatchDispatched, gateway, now)
	setDelivered(&next, now)
	next.Execution = advanceExecution(status.Execution, v1alpha1.ExecutionStarted)
	if next.StartedTime == nil {
		started := metav1.NewMicroTime(now)
		next.StartedTime = &started
	}
	next.Progress = &v1alpha1.DispatchProgress{Percent: min(max(percent, 0), 100), Message: cleanLine(message, maxProgressChars)}
	return next
}

// moveToPhase returns the status of an unfinished dispatch in another phase that is not terminal.
func moveToPhase(status v1alpha1.CapabilityDispatchStatus, phase v1alpha1.DispatchPhase, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
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

// setDelivered sets the condition Delivered, in place.
func setDelivered(status *v1alpha1.CapabilityDispatchStatus, now time.Time) {
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionDelivered, Status: metav1.ConditionTrue,
		Reason: string(v1alpha1.DispatchDispatched), LastTransitionTime: metav1.NewTime(now),
	})
}
