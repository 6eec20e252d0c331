package policy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// The controller waits for a usable cert-manager, reports the problem, and continues without a
// restart.
func TestTheControllerWaitsForACertManagerItCanUse(t *testing.T) {
	definition := deleteCRD(t, "certificaterequests.cert-manager.io")
	controller, probes := startController(t)
	says := func(text string) {
		t.Helper()
		soon.Succeeds(t, "the controller says "+text, func(ctx context.Context) error {
			return checkReadyz(ctx, probes, http.StatusServiceUnavailable, text)
		})
	}
	says("does not serve certificaterequests of cert-manager.io/v1")
	says("install cert-manager 1.12 or newer")

	definition.SetLabels(map[string]string{"app.kubernetes.io/version": "v1.11.5"})
	if err := shared.Client().Create(t.Context(), definition); err != nil {
		t.Fatal(err)
	}
	says("cert-manager v1.11.5 is too old: update it to 1.12 or newer")

	labelRelease(t, definition, `"v1.12.0"`)
	soon.Succeeds(t, "the controller is ready", func(ctx context.Context) error { return checkReadyz(ctx, probes, http.StatusOK, "ok") })
	if !controller.Running() {
		t.Error("the controller exited")
	}
	if n := strings.Count(controller.Output(), "waiting for the cluster"); n < 2 || n > 4 {
		t.Errorf("it logged the wait %d times, want a log line only on change", n)
	}
}

// deleteCRD deletes a CRD for the duration of the test and returns the previous object.
func deleteCRD(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	definition := &unstructured.Unstructured{}
	definition.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	definition.SetName(name)
	if err := shared.Client().Get(t.Context(), client.ObjectKeyFromObject(definition), definition); err != nil {
		t.Fatal(err)
	}
	if err := shared.Client().Delete(t.Context(), definition); err != nil {
		t.Fatal(err)
	}
	gone := definition.DeepCopy()
	soon.Succeeds(t, name+" is deleted", func(ctx context.Context) error {
		if err := shared.Client().Get(ctx, client.ObjectKeyFromObject(gone), gone); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it still exists, or %w", err)
		}
		return nil
	})
	definition.SetResourceVersion("")
	definition.SetUID("")
	unstructured.RemoveNestedField(definition.Object, "status")
	t.Cleanup(func() {
		_ = shared.Client().Create(context.WithoutCancel(t.Context()), definition.DeepCopy())
	})
	return definition
}

func labelRelease(t *testing.T, definition *unstructured.Unstructured, release string) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"app.kubernetes.io/version":`+release+`}}}`))
	if err := shared.Client().Patch(t.Context(), definition.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// startController starts the real program with its own rights and returns the address of its
// probes.
func startController(t *testing.T) (controller *stack.Process, probes string) {
	t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := controlplane.WriteKubeconfig(kubeconfig, serviceAccountConfig(t, v1alpha1.ControllerServiceAccount)); err != nil {
		t.Fatal(err)
	}
	addresses, err := stack.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	controller, err = stack.StartProcess("controller", dir, nil, filepath.Join(root, ".local", "bin", "manager"), "--role=controller",
		"--kubeconfig", kubeconfig, "--metrics-bind-address", "0", "--health-probe-bind-address", addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(controller.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(controller.Tail(20))
		}
	})
	return controller, addresses[0]
}

func checkReadyz(ctx context.Context, probes string, code int, text string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+probes+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != code || !strings.Contains(string(body), text) {
		return fmt.Errorf("readyz returns %d %q, want %d %q", answer.StatusCode, body, code, text)
	}
	return nil
}
