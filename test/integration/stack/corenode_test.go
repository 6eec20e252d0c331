package stack_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// startPaired starts an agent in the pod and waits until its Node of that name is Online.
func (w *workload) startPaired(name string) *stack.Process {
	w.Helper()
	agent := w.startAgent(w.token("mooring", w.podReference()), w.serverCA())
	if err := agent.WaitFor(w.BoundedContext(), "Session open with gateway"); err != nil {
		w.Fatalf("%v\n%s", err, agent.Tail(10))
	}
	w.AwaitOnline(name)
	return agent
}

func (w *workload) awaitDeleted(name string) {
	w.Helper()
	w.Eventually("Node "+name+" leaves", func() bool {
		return apierrors.IsNotFound(system.Client.Get(w.Context(), w.ObjectKey(name), &v1alpha1.Node{}))
	})
}

// recreateCoreNode creates the core Node again under its name, with a pod on it.
func (w *workload) recreateCoreNode() {
	w.Helper()
	former := w.node.UID
	w.deleteObject(w.pod)
	w.Eventually("the pod is gone", func() bool {
		return apierrors.IsNotFound(system.Client.Get(w.Context(), client.ObjectKeyFromObject(w.pod), &corev1.Pod{}))
	})
	w.createObjects(w.node, w.pod)
	if w.node.UID == former {
		w.Fatal("the core Node is the same")
	}
}

// The core Node is deleted and created again while no controller runs.
func TestAnAgentLeavesWithItsCoreNodeAlsoWhenTheControllerWasAway(t *testing.T) {
	w := newWorkload(newFleet(t))
	w.setRule("fleet: " + w.Namespace + "\nnodePrefix: edge-\n")
	laptop := w.Pair("laptop")
	name := "edge-" + w.nodeName()
	agent := w.startPaired(name)
	done := w.AwaitEnded(w.CreateDispatch(name, "echo", map[string]any{"text": "hi"}))

	system.Controller.Kill()
	w.deleteObject(w.node)
	w.recreateCoreNode()
	w.deleteLease()
	if err := system.StartController(); err != nil {
		t.Fatal(err)
	}
	w.awaitDeleted(name)
	if err := agent.WaitFor(w.BoundedContext(), "refuses this machine"); err != nil {
		t.Errorf("the session goes on: %v\n%s", err, agent.Tail(10))
	}
	agent.Stop()
	w.startPaired(name)
	if node := w.GetNode(name); node.Spec.ServiceAccount == nil || node.Spec.ServiceAccount.NodeUID != string(w.node.UID) {
		t.Errorf("the Node is not of the new core Node: %+v", node.Spec.ServiceAccount)
	}
	if err := system.Client.Get(t.Context(), client.ObjectKeyFromObject(done), &v1alpha1.CapabilityDispatch{}); err != nil {
		t.Errorf("a finished dispatch is not kept: %v", err)
	}
	w.CheckEcho("laptop")
	if strings.Contains(laptop.Output(), "refuses this machine") {
		t.Error("the laptop was cut off")
	}
}

// A changed rule must neither give a machine a second identity nor admit a revoked one.
func TestAChangedPrefixMakesNoSecondIdentity(t *testing.T) {
	t.Parallel()
	w := newWorkload(newFleet(t))
	w.setRule("fleet: " + w.Namespace + "\n")
	agent := w.startPaired(w.nodeName())
	w.setRule("fleet: " + w.Namespace + "\nnodePrefix: edge-\n")
	w.CheckEcho(w.nodeName()) // a paired machine keeps its name

	refused := func() {
		t.Helper()
		second := w.startAgent(w.token("mooring", w.podReference()), w.serverCA())
		expectExit(w.fleet, second, v1alpha1.ReasonNameTaken)
		var requests v1alpha1.PairingRequestList
		if err := system.Client.List(t.Context(), &requests, client.InNamespace(w.Namespace)); err != nil {
			t.Fatal(err)
		}
		for i := range requests.Items {
			r := &requests.Items[i]
			completed := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionCompleted)
			if r.Spec.NodeName == "edge-"+w.nodeName() && (completed == nil || !strings.Contains(completed.Message, `is Node "`+w.nodeName()+`" of fleet`)) {
				t.Errorf("the request does not name the other Node: %+v", completed)
			}
		}
	}
	refused()
	w.SetDesiredState(w.nodeName(), v1alpha1.NodeRevoked)
	refused()
	agent.Stop()
	if err := system.Client.Delete(t.Context(), w.GetNode(w.nodeName())); err != nil {
		t.Fatal(err)
	}
	w.awaitDeleted(w.nodeName())
	w.startPaired("edge-" + w.nodeName())
}
