package pairingrequest

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestADecisionOfAPersonIsAwaitedUntilTheRequestExpires(t *testing.T) {
	r := &reconciler{clock: clocktesting.NewFakePassiveClock(start)}
	result, err := r.awaitDecision(t.Context(), &v1alpha1.PairingRequest{Spec: v1alpha1.PairingRequestSpec{
		Method: v1alpha1.PairingMethodPIN, ExpiresTime: metav1.NewTime(start.Add(time.Minute))}})
	if err != nil || result.RequeueAfter != time.Minute {
		t.Errorf("%v, %v", result, err)
	}
}
