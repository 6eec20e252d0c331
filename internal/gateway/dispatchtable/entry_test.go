package dispatchtable

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

const (
	stageAsk   = gatewayv1.Clearance_STAGE_ASK
	stageStart = gatewayv1.Clearance_STAGE_START
)

func TestADispatchIsMediatedUntilItIsClearedToStart(t *testing.T) {
	asked := &approvalRequest{user: "ada"}
	for name, tt := range map[string]struct {
		e                 entry
		mediated, started bool
	}{
		"accepted, not mediated":  {entry{accepted: true}, false, true},
		"not accepted":            {entry{}, false, false},
		"a person is asked":       {entry{accepted: true, approvalRequest: asked, stage: stageAsk}, true, false},
		"the person said yes":     {entry{accepted: true, approved: true, stage: stageAsk}, true, false},
		"asked, then cleared":     {entry{accepted: true, approvalRequest: asked, approved: true, stage: stageStart}, false, true},
		"asked, then it reported": {entry{accepted: true, approvalRequest: asked, result: &dispatch.Result{}}, false, false},
		"asked, then it ended":    {entry{accepted: true, approvalRequest: asked, settled: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if mediated, started := tt.e.inMediation(), tt.e.runTimeStarted(); mediated != tt.mediated || started != tt.started {
				t.Errorf("mediated %t, started %t, want %t, %t", mediated, started, tt.mediated, tt.started)
			}
		})
	}
}

// The run time of 30 s counts from the acceptance. Without an acceptance it counts from the latest
// possible start, 60 s after the creation.
func TestAMachineHasItsRunTimeAndTheGraceToReport(t *testing.T) {
	const grace = 7 * time.Second
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	withdrawn := dispatch.Withdraw(v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, "Why", "", "gw", at(3*time.Second))
	for name, tt := range map[string]struct {
		e      entry
		status v1alpha1.CapabilityDispatchStatus
		want   time.Time
	}{
		"offered":                   {entry{}, v1alpha1.CapabilityDispatchStatus{}, at((60 + 30 + 7) * time.Second)},
		"accepted":                  {entry{accepted: true, acceptedAt: at(10 * time.Second)}, v1alpha1.CapabilityDispatchStatus{}, at((10 + 30 + 7) * time.Second)},
		"accepted after its expiry": {entry{accepted: true, acceptedAt: at(time.Hour)}, v1alpha1.CapabilityDispatchStatus{}, at((60 + 30 + 7) * time.Second)},
		"a person is asked":         {entry{accepted: true, acceptedAt: at(10 * time.Second), approvalRequest: &approvalRequest{}}, v1alpha1.CapabilityDispatchStatus{}, at((60 + 30 + 7) * time.Second)},
		"withdrawn":                 {entry{}, withdrawn, at((3 + 7) * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			tt.e.d = &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: noon},
				Spec: v1alpha1.CapabilityDispatchSpec{ExpirySeconds: 60, TimeoutSeconds: 30}, Status: tt.status}
			if got := tt.e.overdueAt(grace); !got.Equal(tt.want) {
				t.Errorf("the dispatch is given up at %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAnEntryIsForgottenWhenNothingMoreIsExpected(t *testing.T) {
	for name, tt := range map[string]struct {
		e     entry
		phase v1alpha1.DispatchPhase
		after time.Duration
		want  bool
	}{
		"settled and out of the watch":        {entry{settled: true, leftWatch: true}, v1alpha1.DispatchFailed, 0, true},
		"settled, in the watch":               {entry{settled: true}, v1alpha1.DispatchFailed, settledTTL, false},
		"settled long ago":                    {entry{settled: true}, v1alpha1.DispatchFailed, settledTTL + 1, true},
		"recalled":                            {entry{}, v1alpha1.DispatchFailed, settledTTL, false},
		"recalled long ago":                   {entry{}, v1alpha1.DispatchFailed, settledTTL + 1, true},
		"recalled long ago, with a result":    {entry{result: &dispatch.Result{}}, v1alpha1.DispatchFailed, settledTTL + 1, false},
		"recalled long ago, under way":        {entry{busy: true}, v1alpha1.DispatchFailed, settledTTL + 1, false},
		"recalled long ago and not yet ended": {entry{}, v1alpha1.DispatchDispatched, settledTTL + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			tt.e.d = &v1alpha1.CapabilityDispatch{Status: v1alpha1.CapabilityDispatchStatus{Phase: tt.phase}}
			tt.e.settledAt = noon.Time
			if got := tt.e.forgettable(noon.Add(tt.after)); got != tt.want {
				t.Errorf("forgettable() = %t, want %t", got, tt.want)
			}
		})
	}
	if e := (&entry{d: &v1alpha1.CapabilityDispatch{Status: v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchFailed}}}); e.forgettable(noon.Time) {
		t.Error("an entry that was never settled is forgettable")
	}
}
