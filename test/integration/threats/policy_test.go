package threats_test

import (
	"context"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// While a policy differs from its shipped form, no request is approved, no certificate is issued
// and no dispatch is offered. All of these work again when the policy is restored, except for
// requests that were decided in between.
func TestWithoutWorkingPoliciesApprovalIssuingAndOfferingStop(t *testing.T) {
	for name, broken := range map[string]struct {
		kind  string
		spoil func(*testing.T, *unstructured.Unstructured) error
	}{
		"a policy is deleted": {"ValidatingAdmissionPolicy", func(t *testing.T, o *unstructured.Unstructured) error {
			return system.Client.Delete(t.Context(), o)
		}},
		"a binding is narrowed": {"ValidatingAdmissionPolicyBinding", func(t *testing.T, o *unstructured.Unstructured) error {
			narrow := `{"spec":{"matchResources":{"namespaceSelector":{"matchLabels":{"none":"none"}}}}}`
			return system.Client.Patch(t.Context(), o, client.RawPatch(types.MergePatchType, []byte(narrow)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			object := f.shippedObject(broken.kind)
			f.Pair("online")
			sleeping := f.Pair("sleeping")
			sleeping.Stop()
			waiting, undecided := f.StartPairing("waiting")
			t.Cleanup(func() {
				if t.Failed() { // otherwise the test restores it below; a second restore would end the proof
					f.restore(object)
				}
			})

			if err := broken.spoil(t, object.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			f.restartController()
			f.awaitProof(true)
			restarted := f.StartAgent("sleeping") // and then the gateway knows it, too
			if err := restarted.WaitFor(f.BoundedContext(), "may not open sessions"); err != nil {
				t.Error(err)
			}
			f.Approve(undecided.Name)
			d := f.CreateDispatch("online", "echo", map[string]any{})
			f.checkUnproven(d, undecided)
			f.checkNothingIssued("waiting", waiting)

			f.restore(object)
			f.awaitProof(false)
			f.AwaitOnline("sleeping")
			_, later := f.StartPairing("later") // no proof covers a request that was made before the policy was broken
			f.Approve(later.Name)
			f.AwaitOnline("later")
			if end := f.AwaitEnded(f.CreateDispatch("online", "echo", map[string]any{})).Status; end.Phase != v1alpha1.DispatchSucceeded {
				t.Errorf("after the repair a dispatch ended %+v", end)
			}
			f.checkUnproven(d, undecided) // it does not take effect later
		})
	}
}

// restartController makes the controller prove the policies at once instead of within a minute: a new leader
// starts with a proof.
func (f *fleet) restartController() {
	f.Helper()
	system.Controller.Stop()
	if err := system.StartController(); err != nil {
		f.Fatal(err)
	}
}

// awaitProof waits until the proof Lease records that the policies fail, or that they are proven.
func (f *fleet) awaitProof(failing bool) {
	f.Helper()
	key := client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.PolicyProofLease}
	f.Eventually("the proof of the policies to change", func() bool {
		lease := &coordinationv1.Lease{}
		if err := system.Client.Get(f.Context(), key, lease); err != nil {
			return false
		}
		_, noted := policy.Failing(lease)
		return noted == failing
	})
}

// checkUnproven waits until the dispatch and the decision have ended without effect. Only the
// gateway knows whether it offered a dispatch, so the execution is Unknown for a Node with a
// session.
func (f *fleet) checkUnproven(d *v1alpha1.CapabilityDispatch, request *v1alpha1.PairingRequest) {
	f.Helper()
	end := f.AwaitEnded(d).Status
	if end.Error == nil || end.Error.Code != v1alpha1.ErrorPolicyUnproven || end.StartedTime != nil || end.Output != nil || end.Gateway != "" {
		f.Errorf("the dispatch ended %+v, want it never run, %s", end, v1alpha1.ErrorPolicyUnproven)
	}
	testfleet.Await(f, request.Name, &v1alpha1.PairingRequest{}, "Failed", func(r *v1alpha1.PairingRequest) bool {
		return r.Status.Phase == v1alpha1.PairingRequestFailed
	})
}

func (f *fleet) checkNothingIssued(node string, agent *stack.Process) {
	f.Helper()
	f.checkNoNode(node)
	if code, err := agent.Wait(f.BoundedContext()); err != nil || code == 0 {
		f.Errorf("the agent of a refused machine: %d, %v, want it to give up", code, err)
	}
}

// restore replaces an object by its shipped form: an apply would keep fields that were added. It
// also works in a cleanup, when the test's context has ended.
func (f *fleet) restore(object *unstructured.Unstructured) {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), testfleet.WaitTimeout)
	defer cancel()
	if err := client.IgnoreNotFound(system.Client.Delete(ctx, object.DeepCopy())); err != nil {
		f.Errorf("restore %s: %v", object.GetName(), err)
	}
	if err := system.Client.Create(ctx, object.DeepCopy()); err != nil {
		f.Errorf("restore %s: %v", object.GetName(), err)
	}
}
