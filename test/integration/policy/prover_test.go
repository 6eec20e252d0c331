package policy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/eventually"
)

// serviceAccountConfig returns the REST config of a Mooring ServiceAccount with its real rights.
func serviceAccountConfig(t *testing.T, account string) *rest.Config {
	t.Helper()
	cfg, err := shared.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, account)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// soon bounds the waits for a proof. It is half the time between two regular proofs.
const soon = eventually.Within(30 * time.Second)

func newProver(t *testing.T) *policy.Prover {
	t.Helper()
	cfg := serviceAccountConfig(t, v1alpha1.ControllerServiceAccount)
	prover, err := policy.NewProver(cfg, shared.ClientFor(t, cfg), v1alpha1.SystemNamespace, "test", clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	return prover
}

func proofLease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.PolicyProofLease}
	if err := shared.Client().Get(t.Context(), key, lease); err != nil {
		t.Fatal(err)
	}
	return lease
}

// restore applies the shipped policies again and waits until they are proven.
func restore(t *testing.T, prover *policy.Prover) {
	t.Helper()
	for _, dir := range []string{config.DirRBAC, config.DirPolicy} {
		if err := shared.Apply(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	soon.Succeeds(t, "the policies are proven", prover.Prove)
}

func TestTheShippedPoliciesAreProvenWithTheRightsOfTheController(t *testing.T) {
	before := time.Now()
	if err := newProver(t).Prove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lease := proofLease(t); lease.Spec.RenewTime.Before(&metav1.MicroTime{Time: before.Truncate(time.Microsecond)}) {
		t.Errorf("the Lease was renewed at %v, before the proof at %v", lease.Spec.RenewTime, before)
	}
}

// Every policy and every binding, deleted and edited in turn.
func TestEveryShippedObjectIsNeeded(t *testing.T) {
	prover := newProver(t)
	restore(t, prover)
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range shipped {
		name := object.GetKind() + " " + object.GetName()
		t.Run("deleted "+name, func(t *testing.T) {
			if err := shared.Client().Delete(t.Context(), object.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			checkDisproved(t, prover, object.GetName())
			replace(t, object)
		})
		t.Run("edited "+name, func(t *testing.T) {
			edit(t, object)
			checkDisproved(t, prover, object.GetName())
			replace(t, object)
		})
	}
	restore(t, prover)
	if failure := proofLease(t).Annotations[policy.AnnotationFailure]; failure != "" {
		t.Errorf("after the repair the Lease still has the failure %q", failure)
	}
}

// edit makes the smallest change that weakens an object: it no longer fails closed or no longer
// denies.
func edit(t *testing.T, shipped *unstructured.Unstructured) {
	t.Helper()
	change := `{"spec":{"failurePolicy":"Ignore"}}`
	switch shipped.GetKind() {
	case "ValidatingAdmissionPolicyBinding":
		change = `{"spec":{"validationActions":["Warn"]}}`
	case "MutatingAdmissionPolicyBinding":
		change = `{"spec":{"matchResources":{"namespaceSelector":{"matchLabels":{"none":"none"}}}}}`
	}
	patch := client.RawPatch(types.MergePatchType, []byte(change))
	if err := shared.Client().Patch(t.Context(), shipped.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// replace replaces the live object by the shipped one. An apply would keep fields that were added
// to the live object.
func replace(t *testing.T, shipped *unstructured.Unstructured) {
	t.Helper()
	if err := client.IgnoreNotFound(shared.Client().Delete(t.Context(), shipped.DeepCopy())); err != nil {
		t.Fatal(err)
	}
	if err := shared.Client().Create(t.Context(), shipped.DeepCopy()); err != nil {
		t.Fatal(err)
	}
}

func checkDisproved(t *testing.T, prover *policy.Prover, name string) {
	t.Helper()
	if err := prover.Prove(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("Prove = %v, want an error that names %s", err, name)
	}
	lease := proofLease(t)
	if failure := lease.Annotations[policy.AnnotationFailure]; !strings.Contains(failure, name) {
		t.Errorf("the failure on the Lease is %q, want %s", failure, name)
	}
	if _, failing := policy.Failing(lease); !failing {
		t.Error("Failing = false")
	}
}

// No proof attempt notices that the policy is missing: UID and generation are part of the proof.
func TestAPolicyThatWasAwayBetweenTwoProofsIsAFailure(t *testing.T) {
	prover := newProver(t)
	restore(t, prover)
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range shipped {
		t.Run(object.GetKind()+" "+object.GetName(), func(t *testing.T) {
			soon.Succeeds(t, "the policies are proven", prover.Prove)
			before, _, ok := prover.Record().Current()
			if !ok {
				t.Fatal("no epoch is in force")
			}
			replace(t, object)
			if err := prover.Prove(t.Context()); err == nil {
				t.Error("one proof after a policy was replaced opens the gates")
			}
			soon.Succeeds(t, "the policies are proven", prover.Prove)
			after, _, ok := prover.Record().Current()
			if !ok || after.ID == before.ID {
				t.Errorf("epoch %q is still in force after %q", after.ID, before.ID)
			}
			if coverage, _ := prover.Record().Covers(before.Until.Add(time.Second)); coverage != policy.Uncovered {
				t.Errorf("a moment between the two proofs is %v, want Uncovered", coverage)
			}
		})
	}
}

// The gates must close soon after a policy is deleted, not only with the next regular proof.
func TestAProofFollowsAChangeOfAPolicyAtOnce(t *testing.T) {
	prover := newProver(t)
	restore(t, prover)
	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- prover.Start(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, object := range shipped {
		if kinds[object.GetKind()] {
			continue // each kind has one informer
		}
		kinds[object.GetKind()] = true
		t.Run(object.GetKind(), func(t *testing.T) {
			soon.Succeeds(t, "the policies do not fail", func(context.Context) error {
				if since, failing := policy.Failing(proofLease(t)); failing {
					return fmt.Errorf("the policies fail since %s", since)
				}
				return nil
			})
			renewed := proofLease(t).Spec.RenewTime
			began := time.Now()
			if err := shared.Client().Delete(t.Context(), object.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			soon.Succeeds(t, "the gates are shut", func(context.Context) error {
				if _, failing := policy.Failing(proofLease(t)); !failing {
					return fmt.Errorf("the gates are open; the last proof was at %s, the deletion at %s", renewed, began)
				}
				return nil
			})
			t.Logf("the gates shut %s after the deletion", time.Since(began).Round(time.Millisecond))
			replace(t, object)
		})
	}
}

// The leader was away or was replaced. The record is stored, and no policy changed meanwhile.
func TestAGapIsCoveredWhenEveryPolicyIsTheSameAtItsEnd(t *testing.T) {
	first := newProver(t)
	restore(t, first)
	before, _, _ := first.Record().Current()
	next := newProver(t)
	soon.Succeeds(t, "the next leader proves the policies", next.Prove)
	after, _, ok := next.Record().Current()
	if !ok || after.ID != before.ID || !after.Until.After(before.Until) {
		t.Errorf("after the change of leaders epoch %+v is in force, want %+v with a later end", after, before)
	}
}

// The record must not depend on a policy: RBAC keeps gateways from it.
func TestAGatewayCannotWriteTheRecordOfTheProofs(t *testing.T) {
	restore(t, newProver(t))
	record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.PolicyProofConfigMap}}
	if err := shared.Client().Get(t.Context(), client.ObjectKeyFromObject(record), record); err != nil {
		t.Fatal(err)
	}
	record.Data = map[string]string{}
	if err := shared.ClientFor(t, serviceAccountConfig(t, v1alpha1.GatewayServiceAccount)).Update(t.Context(), record); !apierrors.IsForbidden(err) {
		t.Errorf("a gateway updates the record: %v", err)
	}
}

// The objects are as shipped, and a forged object is still admitted: only a probe detects that.
func TestAForgeryThatPassesIsFoundByTrying(t *testing.T) {
	prover := newProver(t)
	restore(t, prover)
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: "too-much"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"nodes"}, Verbs: []string{v1alpha1.VerbRekey},
	}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ProbeServiceAccount}}}
	for _, o := range []client.Object{role, binding} {
		if err := shared.Client().Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	soon.Succeeds(t, "the rekeying is admitted", func(ctx context.Context) error { // the authorizer follows its watch
		if err := prover.Prove(ctx); err == nil || !strings.Contains(err.Error(), "a Node without an approval was admitted") {
			return fmt.Errorf("Prove = %w, want a Node that was admitted", err)
		}
		return nil
	})
	for _, o := range []client.Object{role, binding} {
		if err := shared.Client().Delete(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	soon.Succeeds(t, "the policies are proven", prover.Prove)
}

// A refusal by RBAC alone would hide a policy that does not work.
func TestARefusalThatIsNotOursIsNoProof(t *testing.T) {
	prover := newProver(t)
	restore(t, prover)
	if err := shared.Client().Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ProbeServiceAccount}}); err != nil {
		t.Fatal(err)
	}
	soon.Succeeds(t, "the refusal is not ours", func(ctx context.Context) error {
		if err := prover.Prove(ctx); err == nil || !strings.Contains(err.Error(), "but not by policy") {
			return fmt.Errorf("Prove = %w, want a refusal that is not ours", err)
		}
		return nil
	})
	if _, failing := policy.Failing(proofLease(t)); failing {
		t.Error("the policies count as disproved although nothing passed")
	}
	restore(t, prover)
}

// startGate runs a gate, which watches the Lease, until the end of the test.
func startGate(t *testing.T, gate *policy.Gate) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- gate.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestTheGateFollowsTheLease(t *testing.T) {
	prover := newProver(t)
	restore(t, prover)
	gate := policy.NewGate(serviceAccountConfig(t, v1alpha1.GatewayServiceAccount), v1alpha1.SystemNamespace, clock.RealClock{})
	if err := gate.Check(); err == nil {
		t.Error("a gate that has seen nothing is open")
	}
	startGate(t, gate)
	soon.Succeeds(t, "the gate is open", func(context.Context) error { return gate.Check() })

	if err := shared.Client().Delete(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.PolicyDispatches + ".mooring.dev"}}); err != nil {
		t.Fatal(err)
	}
	if err := prover.Prove(t.Context()); err == nil {
		t.Fatal("a missing policy was proven")
	}
	soon.Succeeds(t, "the gate is shut", func(context.Context) error {
		if _, failing := gate.Failing(); !failing || gate.Check() == nil {
			return fmt.Errorf("the gate is open: failing %v, %w", failing, gate.Check())
		}
		return nil
	})
	restore(t, prover)
	soon.Succeeds(t, "the gate is open", func(context.Context) error { return gate.Check() })
}

// Without further proofs the gate must close.
func TestTheGateShutsWhenTheProofIsOld(t *testing.T) {
	restore(t, newProver(t))
	now := clocktesting.NewFakeClock(time.Now())
	gate := policy.NewGate(serviceAccountConfig(t, v1alpha1.GatewayServiceAccount), v1alpha1.SystemNamespace, now)
	startGate(t, gate)
	soon.Succeeds(t, "the gate is open", func(context.Context) error { return gate.Check() })
	now.Step(policy.Freshness)
	if err := gate.Check(); !errors.Is(err, policy.ErrStaleProof) {
		t.Errorf("after %s: %v, want %v", policy.Freshness, err, policy.ErrStaleProof)
	}
}
