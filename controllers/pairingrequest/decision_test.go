package pairingrequest

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/fakeproofs"
)

func TestADecisionOfAPersonIsAwaitedUntilTheRequestExpires(t *testing.T) {
	r := &reconciler{clock: clocktesting.NewFakePassiveClock(start), proofs: &fakeproofs.Proofs{}}
	outcome := r.awaitDecision(t.Context(), newScope(&v1alpha1.PairingRequest{Spec: v1alpha1.PairingRequestSpec{
		Method: v1alpha1.PairingMethodPIN, ExpiresTime: metav1.NewTime(start.Add(time.Minute))}}))
	if after, why := outcome.Waits(); outcome.Err() != nil || after != time.Minute || why != "a person decides about the request" {
		t.Errorf("it waits for %s: %q, %v", after, why, outcome.Err())
	}
}
