package leader

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
)

// Not parallel: it ends whatever is created while the policies are disproved.
func TestWhatIsCreatedWhileThePoliciesFailIsNeverHonoured(t *testing.T) {
	w := newWorld(t)
	proofs.waits.Lock()
	defer proofs.waits.Unlock()
	before := w.dispatch("before", "nobody")
	proven := before.CreationTimestamp.Add(time.Second)
	sayProof(t, w, proven, "policy dispatches is missing")
	defer func() { sayProof(t, w, apiClock.Now(), "") }()
	pass(t, proven.Add(time.Second)) // apiClock may be ahead by less than a second

	during := w.dispatch("during", "nobody")
	w.becomes(during, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorPolicyUnproven)
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(before), before); err != nil || before.Status.Phase != v1alpha1.DispatchQueued {
		t.Errorf("what was created before the last good proof is %s: %v", before.Status.Phase, err)
	}
	// One that was seen only now, because the failure was noticed late.
	sayProof(t, w, before.CreationTimestamp.Time, "policy dispatches is missing")
	w.becomes(before, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorPolicyUnproven)
}

// sayProof writes the proof Lease as the prover does.
func sayProof(t *testing.T, w *world, renewed time.Time, failure string) {
	t.Helper()
	eventually(t, "write the proof", func() error {
		lease := &coordinationv1.Lease{}
		key := client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.PolicyProofLease}
		if err := w.admin.Get(t.Context(), key, lease); err != nil {
			return err
		}
		at := metav1.NewMicroTime(renewed)
		lease.Spec.RenewTime, lease.Annotations = &at, map[string]string{}
		if failure != "" {
			lease.Annotations[policy.AnnotationFailure] = failure
		}
		return w.controller.Update(t.Context(), lease)
	})
}
