// Package testfleet provides the steps of tests of a running system: issue codes, pair machines,
// approve them, request capabilities, and wait for the state of the resources.
package testfleet

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/eventually"
)

// WaitTimeout bounds every wait; a wait ends at once when its condition holds.
const WaitTimeout = 2 * time.Minute

// Fleet is the namespace of one test. An error ends the test.
type Fleet struct {
	*testing.T
	System    *stack.Stack
	Namespace string
}

// New creates a namespace that is deleted when the test ends.
func New(t *testing.T, system *stack.Stack) *Fleet {
	t.Helper()
	return &Fleet{t, system, cluster.Of(system.Cluster).Namespace(t)}
}

// InSubtest returns the same fleet for a subtest.
func (f *Fleet) InSubtest(t *testing.T) *Fleet { return &Fleet{t, f.System, f.Namespace} }

func (f *Fleet) fleet() *Fleet { return f }

// FleetHolder is a Fleet or a type that embeds one.
type FleetHolder interface{ fleet() *Fleet }

// Await waits until done accepts the object of that name, and returns the object.
func Await[T client.Object](h FleetHolder, name string, object T, state string, done func(T) bool) T {
	f := h.fleet()
	f.Helper()
	got, err := stack.WaitObject(f.BoundedContext(), f.System.Client, f.ObjectKey(name), object, state, done)
	if err != nil {
		f.Fatal(err)
	}
	return got
}

// Read reads the stored state of an object.
func Read[T client.Object](h FleetHolder, object T) T {
	f := h.fleet()
	f.Helper()
	if err := f.System.Client.Get(f.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		f.Fatal(err)
	}
	return object
}

// ObjectKey returns the key of an object of the fleet.
func (f *Fleet) ObjectKey(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: f.Namespace, Name: name}
}

// BoundedContext returns the test's context, bounded by `WaitTimeout`.
func (f *Fleet) BoundedContext() context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), WaitTimeout)
	f.Cleanup(cancel)
	return ctx
}

// Eventually waits until ok returns true. Its failure message contains the text of the condition.
func (f *Fleet) Eventually(condition string, ok func() bool) {
	f.Helper()
	eventually.Within(WaitTimeout).True(f, condition, ok)
}

// GetNode reads a Node of the fleet.
func (f *Fleet) GetNode(name string) *v1alpha1.Node {
	f.Helper()
	return Read(f, &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name}})
}

// PatchNode merges a JSON document into a Node.
func (f *Fleet) PatchNode(name, patch string) {
	f.Helper()
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name}}
	if err := f.System.Client.Patch(f.Context(), node, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		f.Fatal(err)
	}
}

// SetDesiredState sets the desired state of a Node.
func (f *Fleet) SetDesiredState(name string, state v1alpha1.NodeDesiredState) {
	f.Helper()
	f.PatchNode(name, fmt.Sprintf(`{"spec":{"desiredState":%q}}`, state))
}

// RestartGateway stops the first replica gracefully and starts it again on the same addresses. It
// also works in a cleanup, when the test's context has ended.
func (f *Fleet) RestartGateway() {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), WaitTimeout)
	defer cancel()
	f.System.Gateways[0].Stop()
	if err := f.System.StartGateway(0); err != nil {
		f.Fatal(err)
	}
	if err := f.System.Gateways[0].WaitReady(ctx); err != nil {
		f.Fatal(err)
	}
}
