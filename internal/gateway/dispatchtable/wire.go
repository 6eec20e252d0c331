package dispatchtable

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

var phaseByOutcome = map[gatewayv1.Result_Outcome]v1alpha1.DispatchPhase{
	gatewayv1.Result_OUTCOME_SUCCEEDED: v1alpha1.DispatchSucceeded,
	gatewayv1.Result_OUTCOME_FAILED:    v1alpha1.DispatchFailed,
	gatewayv1.Result_OUTCOME_TIMED_OUT: v1alpha1.DispatchTimedOut,
	gatewayv1.Result_OUTCOME_REJECTED:  v1alpha1.DispatchRejected,
	gatewayv1.Result_OUTCOME_CANCELLED: v1alpha1.DispatchCancelled,
}

var executionByWire = map[gatewayv1.Result_Execution]v1alpha1.Execution{
	gatewayv1.Result_EXECUTION_NOT_STARTED: v1alpha1.ExecutionNotStarted,
	gatewayv1.Result_EXECUTION_STARTED:     v1alpha1.ExecutionStarted,
	gatewayv1.Result_EXECUTION_FINISHED:    v1alpha1.ExecutionFinished,
	gatewayv1.Result_EXECUTION_UNKNOWN:     v1alpha1.ExecutionUnknown,
}

// resultOf converts a result of the protocol. Unknown enum values become empty; package dispatch
// validates and sanitizes the result.
func resultOf(r *gatewayv1.Result) *dispatch.Result {
	return &dispatch.Result{
		Outcome: phaseByOutcome[r.GetOutcome()], Execution: executionByWire[r.GetExecution()],
		Output: r.GetOutput(), Truncated: r.GetOutputTruncated(),
		ErrorCode: r.GetErrorCode(), ErrorMessage: r.GetErrorMessage(),
		Started: TimeOf(r.GetStartedTime()),
	}
}

// TimeOf converts a timestamp. It returns the zero time if t is missing or out of range.
func TimeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil || !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}
