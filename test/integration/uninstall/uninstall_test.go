package uninstall_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// crds are the names of the CRDs that the documentation deletes.
var crds = []string{"nodes.mooring.dev", "pairingcodes.mooring.dev", "pairingrequests.mooring.dev", "capabilitydispatches.mooring.dev"}

// fleet is a namespace with one paired machine and one more pairing code.
type fleet struct{ *testfleet.Fleet }

func newFleet(t *testing.T) fleet {
	f := fleet{testfleet.New(t, system)}
	f.Pair("kiosk")
	f.IssuePIN("another")
	return f
}

// uninstall runs the command, checks its exit code and its output, and returns the output.
func (f fleet) uninstall(code int, texts []string, args ...string) string {
	f.Helper()
	out, err := system.Run(f.Context(), stack.Admin, append([]string{"kubectl-mooring", "uninstall"}, args...)...)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		if exit.ExitCode() != code {
			f.Errorf("uninstall %q ended with %d, want %d", args, exit.ExitCode(), code)
		}
	} else if err != nil || code != 0 {
		f.Errorf("uninstall %q ended with %v, want exit code %d", args, err, code)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			f.Errorf("uninstall %q does not print %q:\n%s", args, text, out)
		}
	}
	return out
}

// kubectl runs kubectl as the administrator.
func (f fleet) kubectl(args ...string) {
	f.Helper()
	if _, err := system.Run(f.BoundedContext(), stack.Admin, append([]string{"kubectl"}, args...)...); err != nil {
		f.Fatal(err)
	}
}

// In the documented order the fleets are deleted while the controller runs.
func TestAFleetIsDeletedWhileTheControllerRuns(t *testing.T) {
	f := newFleet(t)
	f.uninstall(1, []string{"kiosk", "Delete the namespaces first: kubectl delete namespace " + f.Namespace}, "--check")
	f.uninstall(1, []string{"a controller runs: it renewed Lease mooring-system/mooring-controller"}, "--force-finalizers", "--yes")
	if node := f.GetNode("kiosk"); len(node.Finalizers) == 0 {
		t.Error("the refused command removed the finalizer")
	}
	f.kubectl("delete", "namespace", f.Namespace, "--timeout=1m")
	f.uninstall(0, nil, "--check")
}

// In the wrong order the controller is removed first.
func TestTheCRDsAreDeletedAfterTheControllerWasRemoved(t *testing.T) {
	f := newFleet(t)
	system.Controller.Kill()
	system.Gateways[0].Stop()
	f.kubectl(append([]string{"delete", "crd", "--wait=false"}, crds...)...)
	f.kubectl("delete", "namespace", f.Namespace, "--wait=false")
	f.Eventually("the CRDs to wait for the finalizers", func() bool {
		return f.waitsForInstances("nodes.mooring.dev") && f.waitsForInstances("pairingcodes.mooring.dev") && f.staysDeleting()
	})

	f.leaseOfKilledController()
	f.uninstall(1, []string{"Node", "kiosk", "yes", "PairingCode", "No controller runs", "--force-finalizers"}, "--check")
	f.uninstall(1, []string{`"controllerRunning": false`, `"deleting": true`, `"released": false`}, "--check", "-o", "json")
	f.uninstall(2, []string{"there is no terminal to ask on"}, "--force-finalizers")
	f.uninstall(0, []string{`"released": true`}, "--force-finalizers", "--yes", "-o", "json")

	for _, name := range crds {
		f.isDeleted(crdOf(name))
	}
	f.isDeleted(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.Namespace}})
	f.uninstall(0, []string{}, "--check")
	f.uninstall(0, []string{}, "--force-finalizers", "--yes")

	installAgain(t)
	again := fleet{testfleet.New(t, system)}
	again.Pair("kiosk")
}

// leaseOfKilledController shortens the Lease of the killed controller, which still has a holder.
func (f fleet) leaseOfKilledController() {
	f.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.LeaderLease}}
	testfleet.Read(f, lease)
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		f.Fatal("a killed controller gave its Lease up")
	}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"leaseDurationSeconds":1}}`))
	if err := system.Client.Patch(f.Context(), lease, patch); err != nil {
		f.Fatal(err)
	}
}

// waitsForInstances reports whether the deletion of a CRD has begun and waits for its objects.
func (f fleet) waitsForInstances(name string) bool {
	crd := crdOf(name)
	if err := system.Client.Get(f.Context(), client.ObjectKeyFromObject(crd), crd); err != nil {
		f.Fatal(err)
	}
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, condition := range conditions {
		if c := condition.(map[string]any); c["type"] == "Terminating" {
			return c["status"] == "True"
		}
	}
	return false
}

// staysDeleting reports whether the Node and the codes are deleted but still kept by their
// finalizers.
func (f fleet) staysDeleting() bool {
	var codes v1alpha1.PairingCodeList
	if err := system.Client.List(f.Context(), &codes, client.InNamespace(f.Namespace)); err != nil {
		f.Fatal(err)
	}
	held := len(codes.Items) == 2 && f.GetNode("kiosk").DeletionTimestamp != nil
	for i := range codes.Items {
		held = held && codes.Items[i].DeletionTimestamp != nil
	}
	return held
}

func crdOf(name string) *unstructured.Unstructured {
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName(name)
	return crd
}

func (f fleet) isDeleted(object client.Object) {
	f.Helper()
	f.Eventually(object.GetName()+" to be deleted", func() bool {
		return apierrors.IsNotFound(system.Client.Get(f.Context(), client.ObjectKeyFromObject(object), object))
	})
}

// installAgain installs the deleted objects and starts the processes.
func installAgain(t *testing.T) {
	t.Helper()
	if err := system.Cluster.InstallAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := system.StartController(); err != nil {
		t.Fatal(err)
	}
	if err := system.StartGateway(0); err != nil {
		t.Fatal(err)
	}
	if err := system.Gateways[0].WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}
