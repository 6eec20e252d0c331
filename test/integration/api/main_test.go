// Package api_test tests the rules of the custom resources and the admission policies against a
// real kube-apiserver, as the users and programs that the rules are for.
package api_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/test/cluster"
)

var shared *cluster.Cluster

func TestMain(m *testing.M) { cluster.Main(m, controlplane.Options{}, &shared) }

// newObject returns an object of a Mooring kind with the given spec.
func newObject(kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	o.SetNamespace(namespace)
	o.SetName(name)
	if spec != nil {
		o.Object["spec"] = spec
	}
	return o
}

// mustCreate creates an object as the administrator.
func mustCreate(t *testing.T, o client.Object) {
	t.Helper()
	if err := shared.Client().Create(t.Context(), o); err != nil {
		t.Fatalf("create: %v", err)
	}
}

// patch sends a merge patch of the object, and does not change the argument.
func patch(t *testing.T, c client.Client, o *unstructured.Unstructured, body string) error {
	t.Helper()
	return c.Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
}

func patchStatus(t *testing.T, c client.Client, o *unstructured.Unstructured, body string) error {
	t.Helper()
	return c.Status().Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(body)))
}

// getLive returns the stored object.
func getLive(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	read := &unstructured.Unstructured{}
	read.SetGroupVersionKind(o.GroupVersionKind())
	if err := shared.Client().Get(t.Context(), client.ObjectKeyFromObject(o), read); err != nil {
		t.Fatalf("get: %v", err)
	}
	return read
}

// wantRefused checks that a request was refused with the given message.
func wantRefused(t *testing.T, err error, message string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, want a refusal with %q", message)
	}
	if !strings.Contains(err.Error(), message) {
		t.Fatalf("refused with %q, want a message with %q", err, message)
	}
}

func wantAccepted(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
}
