package dispatch

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

func TestTheReasonWhyADispatchIsNotSettledIsTheProofThatIsMissing(t *testing.T) {
	ended := metav1.NewTime(time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC))
	over := dispatch.Facts{SessionStarted: &ended, SessionEnded: &ended}
	for want, tt := range map[string]struct {
		phase v1alpha1.DispatchPhase
		facts dispatch.Facts
	}{
		"with the session": {v1alpha1.DispatchQueued, dispatch.Facts{SessionLive: true}},
		"has not started":  {v1alpha1.DispatchQueued, over},
		"may have started": {v1alpha1.DispatchDispatched, over},
	} {
		d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(ended.Add(time.Hour))},
			Status: v1alpha1.CapabilityDispatchStatus{Phase: tt.phase}}
		if got := dispatchWaitReason(d, tt.facts); !strings.Contains(got, want) {
			t.Errorf("phase %s, facts %+v: %q, want %q", tt.phase, tt.facts, got, want)
		}
	}
}
