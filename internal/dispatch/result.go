package dispatch

import (
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Result is an agent's report about a dispatch. Nothing in it is trusted except statements about
// the machine itself: it is checked, cut and cleaned before it is stored.
type Result struct {
	// Outcome is the terminal phase that the agent reports.
	Outcome v1alpha1.DispatchPhase
	// Execution is the statement about the run that the agent can prove.
	Execution v1alpha1.Execution
	// Output is a JSON value in UTF-8; empty means none.
	Output []byte
	// Truncated reports whether the agent cut the output.
	Truncated bool
	// ErrorCode is one word; empty on success.
	ErrorCode string
	// ErrorMessage is for people.
	ErrorMessage string
	// Started is the start of the capability by the clock of the machine; zero when unknown.
	Started time.Time
	// MaxPayloadBytes is the limit from the spec of the dispatch for the stored output; zero means
	// the default of the kind.
	MaxPayloadBytes int32
}

// Settle records a result. An unfinished dispatch gets its terminal phase. A finished one keeps its
// phase and error; if its execution is Started, Unknown or unset, the late result completes
// execution and output. NotStarted is not accepted after an end with JournalReset, because the
// machine may have been restored to a state before the start.
//
// The result write is false when nothing is left to record. The caller may then confirm to the
// agent that the dispatch is settled, once a live read shows the same status.
func Settle(status v1alpha1.CapabilityDispatchStatus, r Result, gateway string, now time.Time) (next v1alpha1.CapabilityDispatchStatus, write bool) {
	if Finished(status) && status.Execution.Final() {
		return status, false
	}
	output, e := normalizeResult(r)
	if Finished(status) {
		if e.execution == v1alpha1.ExecutionNotStarted && status.Error != nil && status.Error.Code == v1alpha1.ErrorJournalReset {
			return status, false
		}
		next = *status.DeepCopy()
		next.Execution = advanceExecution(status.Execution, e.execution)
	} else {
		next = finishStatus(status, withdrawnOutcome(status, e), now)
	}
	if next.Execution == v1alpha1.ExecutionFinished { // no other execution has an output
		storeRunOutcome(&next, r, output, now)
	}
	if reflect.DeepEqual(next, status) {
		return status, false
	}
	setDelivered(&next, now)
	next.Gateway = gateway
	return next, true
}

// storeRunOutcome stores the start and the output of a run in next, in place.
func storeRunOutcome(next *v1alpha1.CapabilityDispatchStatus, r Result, output payload, now time.Time) {
	if next.StartedTime == nil && !r.Started.IsZero() {
		started := metav1.NewMicroTime(clampTime(r.Started, now))
		next.StartedTime = &started
	}
	if next.Output == nil {
		next.Output = output.value
		next.OutputTruncated = output.truncated || r.Truncated
	}
}

// normalizeResult converts an agent's report into an end that does not contradict itself.
func normalizeResult(r Result) (payload, terminalOutcome) {
	e := terminalOutcome{phase: r.Outcome, execution: r.Execution, code: validErrorCode(r.ErrorCode), message: cleanText(r.ErrorMessage, maxErrorChars)}
	output, err := cleanOutput(r.Output, r.MaxPayloadBytes, r.Truncated)
	switch {
	case !Terminal(r.Outcome):
		e = terminalOutcome{phase: v1alpha1.DispatchFailed, execution: r.Execution, code: v1alpha1.ErrorInternal, message: "the agent sent a result without an outcome"}
	case r.Outcome == v1alpha1.DispatchSucceeded && err != nil:
		e = terminalOutcome{v1alpha1.DispatchFailed, v1alpha1.ExecutionFinished, v1alpha1.ErrorInvalidOutput, cleanText(err.Error(), maxErrorChars)}
	case r.Outcome == v1alpha1.DispatchSucceeded:
		e = terminalOutcome{phase: v1alpha1.DispatchSucceeded, execution: v1alpha1.ExecutionFinished}
	case r.Outcome == v1alpha1.DispatchRejected && r.Execution == "":
		e.execution = v1alpha1.ExecutionNotStarted
	}
	if e.code == "" && e.phase != v1alpha1.DispatchSucceeded {
		e.code = defaultErrorCode(e.phase)
	}
	switch e.execution {
	case v1alpha1.ExecutionNotStarted, v1alpha1.ExecutionFinished:
	default: // a run that began and will not be reported again, or no statement at all
		e.execution = v1alpha1.ExecutionUnknown
	}
	return output, e
}

// defaultErrorCode returns the error code of an end that the agent reported without one.
func defaultErrorCode(phase v1alpha1.DispatchPhase) string {
	switch phase {
	case v1alpha1.DispatchTimedOut:
		return v1alpha1.ErrorTimeout
	case v1alpha1.DispatchCancelled:
		return v1alpha1.ErrorCancelled
	case v1alpha1.DispatchRejected:
		return v1alpha1.ErrorInternal
	default:
		return v1alpha1.ErrorCapabilityFailed
	}
}
