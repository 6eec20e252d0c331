package leader

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// core creates a core Node.
func (w *world) core() *corev1.Node {
	w.t.Helper()
	core := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "worker-" + rand.String(6)}}
	if err := w.admin.Create(w.t.Context(), core); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.admin.Delete(context.WithoutCancel(w.t.Context()), core) })
	return core
}

// inClusterAgents reports whether a test has created the first Node of an in-cluster agent.
var inClusterAgents bool

// on makes a Node belong to an agent in a pod on a core Node.
func on(core *corev1.Node) func(*v1alpha1.Node) {
	return func(node *v1alpha1.Node) {
		inClusterAgents = true
		node.Spec.ServiceAccount = &v1alpha1.ServiceAccountIdentity{Namespace: "machines", Name: "agent", Node: core.Name, NodeUID: string(core.UID)}
	}
}

func desired(state v1alpha1.NodeDesiredState) func(*v1alpha1.Node) {
	return func(node *v1alpha1.Node) { node.Spec.DesiredState = state }
}

func (w *world) leaves(name string) {
	w.t.Helper()
	eventually(w.t, "node "+name+" is deleted", func() error {
		err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, &v1alpha1.Node{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it still exists, or %w", errors.Join(err))
		}
		return nil
	})
}

func TestCoreNodesAreNotAskedForBeforeThereAreInClusterAgents(t *testing.T) {
	if inClusterAgents {
		t.Skip("another test created in-cluster agents: in file order, this test runs first")
	}
	w := newWorld(t)
	w.core()
	w.node("laptop")
	w.nodeBecomes("laptop", "described", func(n *v1alpha1.Node) bool { return n.Status.Trust != "" })
	if coreNodeWatch.asked.Load() {
		t.Error("the controller reads core Nodes in a cluster without in-cluster agents")
	}
	w.node("first", on(w.core()))
	eventually(t, "core Nodes are read", func() error {
		if !coreNodeWatch.asked.Load() {
			return errors.New("they were not")
		}
		return nil
	})
}

func TestNodesOfInClusterAgentsLeaveWithTheirCoreNode(t *testing.T) {
	w := newWorld(t)
	core, other := w.core(), w.core()
	w.node("active", on(core))
	w.node("suspended", on(core), desired(v1alpha1.NodeSuspended))
	w.node("revoked", on(core), desired(v1alpha1.NodeRevoked), func(n *v1alpha1.Node) { n.Spec.RevocationReason = "stolen" })
	w.node("neighbour", on(other))
	w.node("laptop")
	waiting := w.dispatch("waiting", "active")
	for _, name := range []string{"active", "suspended", "revoked", "neighbour", "laptop"} {
		w.nodeBecomes(name, "described", func(n *v1alpha1.Node) bool { return n.Status.Trust != "" })
	}
	if err := w.admin.Delete(t.Context(), core); err != nil {
		t.Fatal(err)
	}
	w.leaves("active")
	w.becomes(waiting, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeDeleted)
	w.nodeBecomes("suspended", "Revoked", func(n *v1alpha1.Node) bool {
		return n.Spec.DesiredState == v1alpha1.NodeRevoked && strings.Contains(n.Spec.RevocationReason, string(core.UID)) && n.Status.Trust == v1alpha1.TrustRevoked
	})
	got := map[string]string{}
	var left v1alpha1.NodeList
	if err := w.admin.List(t.Context(), &left, client.InNamespace(w.namespace)); err != nil {
		t.Fatal(err)
	}
	for i := range left.Items {
		got[left.Items[i].Name] = string(left.Items[i].Spec.DesiredState) + " " + left.Items[i].Spec.RevocationReason
	}
	want := map[string]string{
		"suspended": "Revoked " + fmt.Sprintf("core node %q (UID %s) is gone", core.Name, core.UID),
		"revoked":   "Revoked stolen", "neighbour": "Active ", "laptop": "Active ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("remaining Nodes (-want +got):\n%s", diff)
	}
	for _, name := range []string{"active", "suspended"} {
		w.said(name, v1alpha1.ReasonCoreNodeGone)
	}
}

// said waits for an event about a Node.
func (w *world) said(name, reason string) {
	w.t.Helper()
	eventually(w.t, "an event about "+name, func() error {
		var list eventsv1.EventList
		if err := w.admin.List(w.t.Context(), &list, client.InNamespace(w.namespace)); err != nil {
			return err
		}
		for i := range list.Items {
			if list.Items[i].Regarding.Name == name && list.Items[i].Reason == reason {
				return nil
			}
		}
		return fmt.Errorf("no %s among %d", reason, len(list.Items))
	})
}

func TestACoreNodeMadeAgainIsAnother(t *testing.T) {
	w := newWorld(t)
	core := w.core()
	w.node("now", on(core))
	w.node("former", on(core), func(n *v1alpha1.Node) { n.Spec.ServiceAccount.NodeUID = "former" })
	w.leaves("former")
	again := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: core.Name}}
	if err := w.admin.Delete(t.Context(), core); err != nil {
		t.Fatal(err)
	}
	if err := w.admin.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	w.node("next", on(again))
	w.leaves("now")
	w.nodeBecomes("next", "still wanted", func(n *v1alpha1.Node) bool { return n.DeletionTimestamp.IsZero() && n.Status.Trust != "" })
}

// This test runs alone: it would also delay the watch of every other test.
func TestANodeStaysWhileOnlyTheCacheDoesNotKnowItsCoreNode(t *testing.T) {
	w := newWorld(t)
	known := w.core()
	former := func(n *v1alpha1.Node) { n.Spec.ServiceAccount.NodeUID = "former" }
	w.node("first", on(known), former)
	w.leaves("first") // now core Nodes are watched
	coreNodeWatch.held.Lock()
	release := sync.OnceFunc(coreNodeWatch.held.Unlock)
	t.Cleanup(release)
	w.node("new", on(w.core()))
	w.node("witness", on(known), former)
	w.leaves("witness") // it came later, and the reconciles are sequential
	w.nodeBecomes("new", "still wanted", func(n *v1alpha1.Node) bool { return n.DeletionTimestamp.IsZero() })
}
