package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/policy"
)

// newUnprivilegedClient returns a client that may write every kind of a fleet, but without the verbs approve and
// rekey.
func newUnprivilegedClient(t *testing.T, namespace string) client.Client {
	t.Helper()
	name := metav1.ObjectMeta{Namespace: namespace, Name: "mallory"}
	role := &rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{{APIGroups: []string{v1alpha1.GroupVersion.Group},
		Resources: []string{"nodes", "pairingcodes", "pairingrequests"}, Verbs: []string{"get", "create", "update", "patch"}}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name.Name}}}
	for _, o := range []client.Object{role, binding} {
		if err := shared.Client().Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	patient.Succeeds(t, "mallory has the rights", func(ctx context.Context) error {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: name.Name,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Group: v1alpha1.GroupVersion.Group, Resource: "nodes", Verb: "patch", Namespace: namespace}}}
		if err := shared.Client().Create(ctx, review); err != nil || !review.Status.Allowed {
			return fmt.Errorf("not allowed yet: %w", err)
		}
		return nil
	})
	return shared.ClientFor(t, shared.UserConfig(name.Name))
}

// deletePolicies deletes shipped policies and returns a function that restores them. The end of the test
// restores them too.
func deletePolicies(t *testing.T, names ...string) (restore func()) {
	t.Helper()
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	var deleted []*unstructured.Unstructured
	for _, object := range shipped {
		for _, name := range names {
			if object.GetKind() == "ValidatingAdmissionPolicy" && object.GetName() == name+".mooring.dev" {
				deleted = append(deleted, object)
			}
		}
	}
	ctx, restored := context.WithoutCancel(t.Context()), false
	restore = func() {
		for _, object := range deleted {
			if err := shared.Client().Create(ctx, object.DeepCopy()); err != nil && !restored {
				t.Errorf("restore %s: %v", object.GetName(), err)
			}
		}
		restored = true
	}
	t.Cleanup(restore)
	for _, object := range deleted {
		if err := shared.Client().Delete(t.Context(), object.DeepCopy()); err != nil {
			t.Fatal(err)
		}
	}
	return restore
}

// waitForEpoch waits until the policies work, for the controller and for the gateways.
func waitForEpoch(t *testing.T) policy.Epoch {
	t.Helper()
	var epoch policy.Epoch
	patient.Succeeds(t, "the policies are proven", func(context.Context) error {
		prover.Record().Request()
		var ok bool
		if epoch, _, ok = prover.Record().Current(); !ok {
			return errors.New("no epoch is in force")
		}
		return gate.Check()
	})
	return epoch
}

// waitForCoverage waits until a proof covers the creation time of an object.
func waitForCoverage(t *testing.T, object client.Object) {
	t.Helper()
	patient.Succeeds(t, "a proof covers the object", func(context.Context) error {
		prover.Record().Request()
		if coverage, _ := prover.Record().Covers(object.GetCreationTimestamp().Time); coverage != policy.Covered {
			return fmt.Errorf("coverage is %v", coverage)
		}
		return nil
	})
}

// waitForAdmission waits until the API server admits a write that a policy would refuse.
func waitForAdmission(t *testing.T, what string, write func(context.Context) error) {
	t.Helper()
	patient.Succeeds(t, what, write)
}

// waitForProvenSpec returns the Node of a machine once its spec is recorded as proven.
func waitForProvenSpec(t *testing.T, m machine) *v1alpha1.Node {
	t.Helper()
	return waitForObject(t, "the spec is proven", m.node(), func(node *v1alpha1.Node) error {
		if node.Status.ProvenSpec == nil || !dispatch.SpecProven(node) {
			return fmt.Errorf("the record is %+v", node.Status.ProvenSpec)
		}
		return nil
	})
}

func checkSpecUnproven(node *v1alpha1.Node) error {
	if !meta.IsStatusConditionTrue(node.Status.Conditions, v1alpha1.ConditionSpecUnproven) || dispatch.SpecProven(node) {
		return fmt.Errorf("the spec counts as proven: %+v", node.Status)
	}
	return nil
}

func checkWithdrawn(code *v1alpha1.PairingCode) error {
	ready := meta.FindStatusCondition(code.Status.Conditions, v1alpha1.ConditionReady)
	if code.Status.Phase != v1alpha1.PairingCodeExpired || ready == nil || ready.Reason != v1alpha1.ErrorPolicyUnproven {
		return fmt.Errorf("phase %q, %+v", code.Status.Phase, ready)
	}
	return nil
}

// This test is not parallel: it removes all policies that guard the pairing for a while.
func TestWhatWasWrittenWhileAPolicyWasKnownToFailIsNeverBelieved(t *testing.T) {
	namespace := shared.Namespace(t)
	thief := newUnprivilegedClient(t, namespace)
	box := newApprovedMachine(t, namespace, "box")
	waitForProvenSpec(t, box)
	code, honestCode := pinCode(t, namespace), pinCode(t, namespace)
	waitForCoverage(t, honestCode)
	undecided := newPendingMachine(t, code, "undecided")
	before := waitForEpoch(t)

	restore := deletePolicies(t, v1alpha1.PolicyPairingCodes, v1alpha1.PolicyPairingRequests, v1alpha1.PolicyNodes)
	patient.Succeeds(t, "the policies fail", func(context.Context) error {
		prover.Record().Request()
		if !prover.Record().Failing() {
			return errors.New("they do not")
		}
		return nil
	})
	codes := map[string]*v1alpha1.PairingCode{
		"autoApprove": {Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR, AutoApprove: true}},
		"replaceNode": {Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: "box", ReplaceNode: true, IssuedBy: "ada"}},
	}
	for name, forged := range codes {
		forged.Namespace, forged.GenerateName = namespace, "forged-"
		waitForAdmission(t, "a forged code with "+name, func(ctx context.Context) error { return thief.Create(ctx, forged) })
	}
	waitForAdmission(t, "a widened capabilityPolicy", func(ctx context.Context) error {
		return thief.Patch(ctx, box.node(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"capabilityPolicy":{"allow":["system.*","echo"]}}}`)))
	})
	waitForAdmission(t, "a decision that its author dates back", func(ctx context.Context) error {
		decided := &v1alpha1.PairingRequest{}
		if err := thief.Get(ctx, client.ObjectKeyFromObject(undecided.request), decided); err != nil {
			return err
		}
		decided.Spec.Decision = &v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, By: "ada"}
		old := metav1.NewTime(time.Now().Add(-time.Hour))
		decided.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "ada", Operation: metav1.ManagedFieldsOperationUpdate, Time: &old,
			APIVersion: v1alpha1.GroupVersion.String(), FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:decision":{}}}`)}}
		return thief.Update(ctx, decided)
	})
	restore()
	if after := waitForEpoch(t); after.ID == before.ID {
		t.Error("the proofs before and after the failure belong to the same Epoch")
	}

	for name, forged := range codes {
		waitForObject(t, "the code with "+name+" is withdrawn", forged, checkWithdrawn)
	}
	undecided.awaitPhase(t, v1alpha1.PairingRequestFailed)
	undecided.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ErrorPolicyUnproven, "pair the machine again")
	widened := waitForObject(t, "the widened policy is not used", box.node(), checkSpecUnproven)
	if help := meta.FindStatusCondition(widened.Status.Conditions, v1alpha1.ConditionSpecUnproven).Message; len(help) == 0 {
		t.Error("the condition has no message")
	}
	// Work on covered objects continues.
	newPendingMachine(t, honestCode, "honest").decide(t, `{"verdict":"Approved"}`)

	approver := shared.Client()
	for _, allow := range []string{`["echo"]`, `["system.*","echo"]`} {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"capabilityPolicy":{"allow":`+allow+`}}}`))
		if err := approver.Patch(t.Context(), box.node(), patch); err != nil {
			t.Fatal(err)
		}
		settled := waitForProvenSpec(t, box)
		if meta.FindStatusCondition(settled.Status.Conditions, v1alpha1.ConditionSpecUnproven) != nil {
			t.Errorf("after an approver set %s the condition is still there", allow)
		}
	}
}

// This test is not parallel for the same reason. No proof attempt notices that the policies are
// missing.
func TestWhatWasWrittenWhileAPolicyWasAwayBetweenTwoProofsIsNeverBelieved(t *testing.T) {
	namespace := shared.Namespace(t)
	thief := newUnprivilegedClient(t, namespace)
	box := newApprovedMachine(t, namespace, "box")
	waitForProvenSpec(t, box)
	code := pinCode(t, namespace)
	waitForCoverage(t, code)
	undecided := newPendingMachine(t, code, "undecided")
	before := waitForEpoch(t)

	restore := deletePolicies(t, v1alpha1.PolicyPairingCodes, v1alpha1.PolicyPairingRequests, v1alpha1.PolicyNodes)
	forged := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "forged-"},
		Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR, AutoApprove: true}}
	waitForAdmission(t, "a forged code", func(ctx context.Context) error { return thief.Create(ctx, forged) })
	waitForAdmission(t, "a widened capabilityPolicy", func(ctx context.Context) error {
		return thief.Patch(ctx, box.node(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"capabilityPolicy":{"allow":["system.*"]}}}`)))
	})
	waitForAdmission(t, "a decision", func(ctx context.Context) error {
		return thief.Patch(ctx, undecided.request.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"decision":{"verdict":"Approved","by":"ada"}}}`)))
	})
	restore()
	patient.Succeeds(t, "another epoch is in force", func(context.Context) error {
		prover.Record().Request()
		if epoch, _, ok := prover.Record().Current(); !ok || epoch.ID == before.ID {
			return fmt.Errorf("epoch %q", epoch.ID)
		}
		return gate.Check()
	})
	waitForObject(t, "the code is withdrawn", forged, checkWithdrawn)
	undecided.awaitPhase(t, v1alpha1.PairingRequestFailed)
	undecided.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ErrorPolicyUnproven, "pair the machine again")
	waitForObject(t, "the widened policy is not used", box.node(), checkSpecUnproven)
}
