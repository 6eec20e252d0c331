package stack_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// The test is not parallel: no controller runs and policies are deleted. The code must be old
// enough to lie between two proofs when the next controller first sees it.
func TestWhatIsWrittenWhileNoControllerRunsAndAPolicyIsAwayIsNotBelieved(t *testing.T) {
	f := newFleet(t)
	_, undecided := f.StartPairing("kiosk")
	_, probe := f.StartPairing("probe")
	system.Controller.Stop()
	t.Cleanup(func() {
		if !system.Controller.Running() {
			restartController(f)
		}
	})
	restore := f.deletePolicies(v1alpha1.PolicyPairingCodes, v1alpha1.PolicyPairingRequests)
	forgery := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"decision":{"verdict":"Approved","by":"ada"}}}`))
	forged := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "forged"},
		Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR, AutoApprove: true, IssuedBy: "ada"}}
	f.Eventually("no policy to refuse a forged decision", func() bool {
		return system.Client.Patch(t.Context(), undecided.DeepCopy(), forgery) == nil
	})
	f.Eventually("no policy to refuse a forged code", func() bool {
		return system.Client.Create(t.Context(), forged) == nil
	})
	f.Eventually("time to pass at the API server", func() bool {
		return f.serverTime().Sub(forged.CreationTimestamp.Time) > 2*policy.ClockMargin
	})
	restore()
	f.Eventually("both policies in force", func() bool {
		another := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "another"}, Spec: forged.Spec}
		return system.Client.Create(t.Context(), another, client.DryRunAll) != nil &&
			system.Client.Patch(t.Context(), probe.DeepCopy(), forgery, client.DryRunAll) != nil
	})
	restartController(f)
	testfleet.Await(f, forged.Name, forged, "withdrawn", func(c *v1alpha1.PairingCode) bool {
		ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
		return c.Status.Phase == v1alpha1.PairingCodeExpired && ready != nil && ready.Reason == v1alpha1.ErrorPolicyUnproven
	})
	testfleet.Await(f, undecided.Name, undecided, "failed", func(r *v1alpha1.PairingRequest) bool {
		completed := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionCompleted)
		return r.Status.Phase == v1alpha1.PairingRequestFailed && completed != nil && completed.Reason == v1alpha1.ErrorPolicyUnproven
	})
	f.awaitCodesAccepted()
}

// awaitCodesAccepted waits until codes are accepted again: codes from the first seconds of new proofs are
// not.
func (f *fleet) awaitCodesAccepted() {
	f.Helper()
	f.Eventually("a code that a proof covers", func() bool {
		code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, GenerateName: "later-"},
			Spec: v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}}
		if err := system.Client.Create(f.Context(), code); err != nil {
			return false
		}
		decided := testfleet.Await(f, code.Name, code, "Active or Expired", func(c *v1alpha1.PairingCode) bool { return c.Status.Phase != "" })
		return decided.Status.Phase == v1alpha1.PairingCodeActive
	})
}

// deletePolicies deletes shipped policies and returns a function that restores them; the end of the
// test restores them too.
func (f *fleet) deletePolicies(names ...string) (restore func()) {
	f.Helper()
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		f.Fatal(err)
	}
	ctx, deleted := context.WithoutCancel(f.Context()), []*unstructured.Unstructured{}
	restore = func() {
		for _, object := range deleted {
			if err := client.IgnoreAlreadyExists(system.Client.Create(ctx, object.DeepCopy())); err != nil {
				f.Errorf("restore %s: %v", object.GetName(), err)
			}
		}
	}
	f.Cleanup(restore)
	for _, object := range shipped {
		name, ours := strings.CutSuffix(object.GetName(), ".mooring.dev")
		if object.GetKind() != "ValidatingAdmissionPolicy" || !ours || !slices.Contains(names, name) {
			continue
		}
		if err := system.Client.Delete(f.Context(), object.DeepCopy()); err != nil {
			f.Fatal(err)
		}
		deleted = append(deleted, object)
	}
	return restore
}

// serverTime returns the API server's time, in whole seconds.
func (f *fleet) serverTime() time.Time {
	f.Helper()
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, GenerateName: "time-"}}
	if err := system.Client.Create(f.Context(), probe, client.DryRunAll); err != nil {
		f.Fatal(err)
	}
	return probe.CreationTimestamp.Time
}
