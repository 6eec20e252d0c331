package dispatchtable

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestATimeThatIsMissingOrOutOfRangeIsZero(t *testing.T) {
	for sent, want := range map[*timestamppb.Timestamp]time.Time{
		nil: {}, {Seconds: 1 << 60}: {}, {Nanos: -1}: {}, timestamppb.New(noon.Time): noon.Time,
	} {
		if got := TimeOf(sent); !got.Equal(want) {
			t.Errorf("TimeOf(%v) = %s, want %s", sent, got, want)
		}
	}
}

func TestAResultIsConvertedFieldByField(t *testing.T) {
	got := resultOf(&gatewayv1.Result{Outcome: gatewayv1.Result_OUTCOME_FAILED, Execution: gatewayv1.Result_EXECUTION_STARTED, Output: []byte(`1`),
		OutputTruncated: true, ErrorCode: "Code", ErrorMessage: "why", StartedTime: timestamppb.New(noon.Time)})
	if got.Outcome != v1alpha1.DispatchFailed || got.Execution != v1alpha1.ExecutionStarted || string(got.Output) != `1` || !got.Truncated ||
		got.ErrorCode != "Code" || got.ErrorMessage != "why" || !got.Started.Equal(noon.Time) {
		t.Errorf("%+v", got)
	}
	if got := resultOf(&gatewayv1.Result{Outcome: 99, Execution: 99}); got.Outcome != "" || got.Execution != "" {
		t.Errorf("unknown values become %q and %q", got.Outcome, got.Execution)
	}
}
