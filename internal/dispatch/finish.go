package dispatch

import (
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// reasonPattern is the API's pattern for the reason of a condition.
var reasonPattern = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// terminalOutcome is a terminal phase with the proven execution and the error.
type terminalOutcome struct {
	phase     v1alpha1.DispatchPhase
	execution v1alpha1.Execution
	code      string // empty on success
	message   string
}

// finishStatus returns the status with a terminal phase; the status must not have one.
func finishStatus(status v1alpha1.CapabilityDispatchStatus, e terminalOutcome, now time.Time) v1alpha1.CapabilityDispatchStatus {
	next := *status.DeepCopy()
	next.Execution = advanceExecution(status.Execution, e.execution)
	if next.Execution != v1alpha1.ExecutionNotStarted && e.phase == v1alpha1.DispatchRejected {
		e.phase = v1alpha1.DispatchFailed // a run that happened, or may have happened, was not rejected
	}
	next.Phase = e.phase
	completed := metav1.NewMicroTime(now)
	next.CompletedTime = &completed
	condition := metav1.Condition{
		Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue,
		Reason: string(e.phase), LastTransitionTime: metav1.NewTime(now),
	}
	if e.code != "" {
		next.Error = &v1alpha1.DispatchError{Code: e.code, Message: e.message}
		condition.Reason, condition.Message = e.code, cleanLine(e.message, maxErrorChars)
	}
	meta.SetStatusCondition(&next.Conditions, condition)
	return next
}

// finishUnstarted returns the status of a dispatch that ends and is proven never to have started.
func finishUnstarted(status v1alpha1.CapabilityDispatchStatus, phase v1alpha1.DispatchPhase, code, message string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	return finishStatus(status, terminalOutcome{phase, v1alpha1.ExecutionNotStarted, code, message}, now)
}

// advanceExecution returns the execution that is proven after both statements. It follows the only
// transitions that the API permits: unset to any, Started to Finished or Unknown, Unknown to
// Finished or NotStarted. A statement that contradicts Started makes the run Unknown. A final
// statement is never overruled.
func advanceExecution(old, new v1alpha1.Execution) v1alpha1.Execution {
	switch {
	case new == "" || old == new || old.Final():
		return old
	case old == v1alpha1.ExecutionStarted && new == v1alpha1.ExecutionNotStarted:
		return v1alpha1.ExecutionUnknown
	case old == v1alpha1.ExecutionUnknown && new == v1alpha1.ExecutionStarted:
		return old
	default:
		return new
	}
}

// RejectQueueFull rejects a dispatch because too many unfinished ones wait for its Node. The caller
// must have proof that the dispatch was not offered.
func RejectQueueFull(status v1alpha1.CapabilityDispatchStatus, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	return finishUnstarted(status, v1alpha1.DispatchRejected, v1alpha1.ErrorQueueFull,
		"too many unfinished dispatches wait for the Node: create it again when the queue is shorter", now)
}

// RejectInvalidInput rejects a dispatch whose input does not match the schema of its capability.
// why may quote the schema, which is foreign text. The caller must have proof that the dispatch was
// not offered.
func RejectInvalidInput(status v1alpha1.CapabilityDispatchStatus, why string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) {
		return status
	}
	return finishUnstarted(status, v1alpha1.DispatchRejected, v1alpha1.ErrorInvalidInput, cleanText(why, maxErrorChars), now)
}
