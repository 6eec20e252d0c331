package stack_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

// Not parallel: no controller runs and a policy is deleted. The code is old enough to lie between two
// proofs when the next controller sees it for the first time.
func TestACodeThatWasMadeWhileNoControllerRanAndAPolicyWasAwayIsWithdrawn(t *testing.T) {
	f := newFleet(t)
	system.Controller.Stop()
	t.Cleanup(func() { restartController(f) })
	restore := f.deletePolicy(v1alpha1.PolicyPairingCodes)
	forged := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "forged"},
		Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR, AutoApprove: true}}
	if err := system.Client.Create(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	f.Eventually("time to pass at the API server", func() bool {
		return f.serverTime().Sub(forged.CreationTimestamp.Time) > 2*policy.ClockMargin
	})
	restore()
	restartController(f)
	testfleet.Await(f, forged.Name, forged, "withdrawn", func(c *v1alpha1.PairingCode) bool {
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		return c.Status.Phase == v1alpha1.PairingCodeExpired && ready != nil && ready.Reason == v1alpha1.ErrorPolicyUnproven
	})
}

// deletePolicy deletes a shipped policy and returns the function that restores it; the end of the test does so, too.
func (f *fleet) deletePolicy(name string) (restore func()) {
	f.Helper()
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		f.Fatal(err)
	}
	var deleted *unstructured.Unstructured
	for _, object := range shipped {
		if object.GetKind() == "ValidatingAdmissionPolicy" && object.GetName() == name+".mooring.dev" {
			deleted = object
		}
	}
	restore = func() {
		err := system.Client.Create(context.WithoutCancel(f.Context()), deleted.DeepCopy())
		if err := client.IgnoreAlreadyExists(err); err != nil {
			f.Errorf("restore %s: %v", deleted.GetName(), err)
		}
	}
	f.Cleanup(restore)
	if err := system.Client.Delete(f.Context(), deleted.DeepCopy()); err != nil {
		f.Fatal(err)
	}
	return restore
}

// serverTime returns the time at the API server, in seconds.
func (f *fleet) serverTime() time.Time {
	f.Helper()
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, GenerateName: "time-"}}
	if err := system.Client.Create(f.Context(), probe, client.DryRunAll); err != nil {
		f.Fatal(err)
	}
	return probe.CreationTimestamp.Time
}
