package leader

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/internal/policy"
)

// This test is not parallel: it ends every dispatch that is created while a policy is missing.
func TestWhatIsCreatedWhileThePoliciesFailIsNeverHonoured(t *testing.T) {
	w := newFixture(t)
	before := w.createDispatch("before", "nobody")
	w.createNodeWithSession("held")
	waitUntil(t, before.CreationTimestamp.Add(2*policy.ClockMargin))
	proofs.mu.Lock()
	defer proofs.mu.Unlock()
	soon.Succeeds(t, "prove the policies", func(context.Context) error { return proofs.Prove(t.Context()) })

	// Between two proofs: no proof attempt notices that the policy is missing.
	shipped := shippedPolicy(t, v1alpha1.PolicyDispatches)
	if err := w.admin.Delete(t.Context(), shipped.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	during, offered := w.createDispatch("during", "nobody"), w.createDispatch("offered", "held")
	if err := w.admin.Create(t.Context(), shipped.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	soon.Succeeds(t, "prove the policies again", func(context.Context) error { return proofs.Prove(t.Context()) })

	w.waitForDispatch(during, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorPolicyUnproven)
	// The session of its Node may have offered it.
	w.waitForDispatch(offered, v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, v1alpha1.ErrorPolicyUnproven)
	if err := w.admin.Get(t.Context(), client.ObjectKeyFromObject(before), before); err != nil || before.Status.Phase != v1alpha1.DispatchQueued {
		t.Errorf("a dispatch that a proof covers is %s: %v", before.Status.Phase, err)
	}
}

func shippedPolicy(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range shipped {
		if object.GetKind() == "ValidatingAdmissionPolicy" && object.GetName() == name+".mooring.dev" {
			return object
		}
	}
	t.Fatalf("no policy %q is shipped", name)
	return nil
}
