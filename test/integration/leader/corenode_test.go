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

// createCoreNode creates a core Node.
func (w *fixture) createCoreNode() *corev1.Node {
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

// onCoreNode makes a Node belong to an agent in a pod on a core Node.
func onCoreNode(core *corev1.Node) func(*v1alpha1.Node) {
	return func(node *v1alpha1.Node) {
		inClusterAgents = true
		node.Spec.ServiceAccount = &v1alpha1.ServiceAccountIdentity{Namespace: "machines", Name: "agent", Node: core.Name, NodeUID: string(core.UID)}
	}
}

func withDesiredState(state v1alpha1.NodeDesiredState) func(*v1alpha1.Node) {
	return func(node *v1alpha1.Node) { node.Spec.DesiredState = state }
}

func (w *fixture) waitForNodeDeletion(name string) {
	w.t.Helper()
	soon.Succeeds(w.t, "node "+name+" is deleted", func(context.Context) error {
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
	w := newFixture(t)
	w.createCoreNode()
	w.createNode("laptop")
	w.waitForNode("laptop", "described", func(n *v1alpha1.Node) bool { return n.Status.Trust != "" })
	if coreNodeWatch.requested.Load() {
		t.Error("the controller reads core Nodes in a cluster without in-cluster agents")
	}
	w.createNode("first", onCoreNode(w.createCoreNode()))
	soon.Succeeds(t, "core Nodes are read", func(context.Context) error {
		if !coreNodeWatch.requested.Load() {
			return errors.New("they were not")
		}
		return nil
	})
}

func TestNodesOfInClusterAgentsLeaveWithTheirCoreNode(t *testing.T) {
	w := newFixture(t)
	core, other := w.createCoreNode(), w.createCoreNode()
	w.createNode("active", onCoreNode(core))
	w.createNode("suspended", onCoreNode(core), withDesiredState(v1alpha1.NodeSuspended))
	w.createNode("revoked", onCoreNode(core), withDesiredState(v1alpha1.NodeRevoked), func(n *v1alpha1.Node) { n.Spec.RevocationReason = "stolen" })
	w.createNode("neighbour", onCoreNode(other))
	w.createNode("laptop")
	waiting := w.createDispatch("waiting", "active")
	for _, name := range []string{"active", "suspended", "revoked", "neighbour", "laptop"} {
		w.waitForNode(name, "described", func(n *v1alpha1.Node) bool { return n.Status.Trust != "" })
	}
	if err := w.admin.Delete(t.Context(), core); err != nil {
		t.Fatal(err)
	}
	w.waitForNodeDeletion("active")
	w.waitForDispatch(waiting, v1alpha1.DispatchRejected, v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNodeDeleted)
	w.waitForNode("suspended", "Revoked", func(n *v1alpha1.Node) bool {
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
		w.waitForEvent(name, v1alpha1.ReasonCoreNodeGone)
	}
}

// waitForEvent waits for an event about a Node.
func (w *fixture) waitForEvent(name, reason string) {
	w.t.Helper()
	soon.Succeeds(w.t, "an event about "+name, func(context.Context) error {
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
	w := newFixture(t)
	core := w.createCoreNode()
	w.createNode("now", onCoreNode(core))
	w.createNode("former", onCoreNode(core), func(n *v1alpha1.Node) { n.Spec.ServiceAccount.NodeUID = "former" })
	w.waitForNodeDeletion("former")
	again := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: core.Name}}
	if err := w.admin.Delete(t.Context(), core); err != nil {
		t.Fatal(err)
	}
	if err := w.admin.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	w.createNode("next", onCoreNode(again))
	w.waitForNodeDeletion("now")
	w.waitForNode("next", "still wanted", func(n *v1alpha1.Node) bool { return n.DeletionTimestamp.IsZero() && n.Status.Trust != "" })
}

// This test runs alone: it would also delay the watch of every other test.
func TestANodeStaysWhileOnlyTheCacheDoesNotKnowItsCoreNode(t *testing.T) {
	w := newFixture(t)
	known := w.createCoreNode()
	former := func(n *v1alpha1.Node) { n.Spec.ServiceAccount.NodeUID = "former" }
	w.createNode("first", onCoreNode(known), former)
	w.waitForNodeDeletion("first") // now core Nodes are watched
	coreNodeWatch.mu.Lock()
	release := sync.OnceFunc(coreNodeWatch.mu.Unlock)
	t.Cleanup(release)
	w.createNode("new", onCoreNode(w.createCoreNode()))
	w.createNode("witness", onCoreNode(known), former)
	w.waitForNodeDeletion("witness") // it came later, and the reconciles are sequential
	w.waitForNode("new", "still wanted", func(n *v1alpha1.Node) bool { return n.DeletionTimestamp.IsZero() })
}
