// Package testfleet is what the tests of a running system do with a fleet: issue codes, pair
// machines, approve them, ask for capabilities, and wait for what the resources then say.
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
	"github.com/mooring-dev/mooring/test/stack"
)

// Patience bounds every wait; a condition that holds ends it at once.
const Patience = 2 * time.Minute

// Fleet is a namespace of one test. What goes wrong ends the test.
type Fleet struct {
	*testing.T
	System    *stack.Stack
	Namespace string
}

// New makes a namespace that goes with the test.
func New(t *testing.T, system *stack.Stack) *Fleet {
	t.Helper()
	return &Fleet{t, system, system.Cluster.Namespace(t)}
}

// On is the same fleet in a subtest.
func (f *Fleet) On(t *testing.T) *Fleet { return &Fleet{t, f.System, f.Namespace} }

func (f *Fleet) fleet() *Fleet { return f }

// Holder is a Fleet, or what embeds one.
type Holder interface{ fleet() *Fleet }

// Await waits until done accepts the object of that name, and returns it.
func Await[T client.Object](h Holder, name string, object T, what string, done func(T) bool) T {
	f := h.fleet()
	f.Helper()
	got, err := stack.WaitObject(f.Within(), f.System.Client, f.Key(name), object, what, done)
	if err != nil {
		f.Fatal(err)
	}
	return got
}

// Read gets an object anew.
func Read[T client.Object](h Holder, object T) T {
	f := h.fleet()
	f.Helper()
	if err := f.System.Client.Get(f.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		f.Fatal(err)
	}
	return object
}

// Key names an object of the fleet.
func (f *Fleet) Key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: f.Namespace, Name: name}
}

// Within is the test's context, bounded by Patience.
func (f *Fleet) Within() context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), Patience)
	f.Cleanup(cancel)
	return ctx
}

// Eventually waits until ok.
func (f *Fleet) Eventually(what string, ok func() bool) {
	f.Helper()
	if err := stack.Poll(f.Within(), ok); err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// Node reads a Node.
func (f *Fleet) Node(name string) *v1alpha1.Node {
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

// Desire sets the desired state of a Node.
func (f *Fleet) Desire(name string, state v1alpha1.NodeDesiredState) {
	f.Helper()
	f.PatchNode(name, fmt.Sprintf(`{"spec":{"desiredState":%q}}`, state))
}

// RestartGateway stops the first replica in order and starts it again on the same addresses; also
// in a cleanup, when the test's context has ended.
func (f *Fleet) RestartGateway() {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), Patience)
	defer cancel()
	f.System.Gateways[0].Stop()
	if err := f.System.StartGateway(0); err != nil {
		f.Fatal(err)
	}
	if err := f.System.Gateways[0].WaitReady(ctx); err != nil {
		f.Fatal(err)
	}
}
