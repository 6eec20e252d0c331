package stack_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/stack"
)

// paired starts an agent in the pod and waits until its Node of that name is Online.
func (w *workload) paired(name string) *stack.Process {
	w.Helper()
	agent := w.start(w.token("mooring", w.toPod()), w.ca())
	if err := agent.WaitFor(w.Within(), "Session open with gateway"); err != nil {
		w.Fatalf("%v\n%s", err, agent.Tail(10))
	}
	w.Online(name)
	return agent
}

func (w *workload) leaves(name string) {
	w.Helper()
	w.Eventually("Node "+name+" leaves", func() bool {
		return apierrors.IsNotFound(system.Client.Get(w.Context(), w.Key(name), &v1alpha1.Node{}))
	})
}

// rejoin creates the core Node again under its name, with a pod on it.
func (w *workload) rejoin() {
	w.Helper()
	former := w.node.UID
	w.drop(w.pod)
	w.Eventually("the pod is gone", func() bool {
		return apierrors.IsNotFound(system.Client.Get(w.Context(), client.ObjectKeyFromObject(w.pod), &corev1.Pod{}))
	})
	w.make(w.node, w.pod)
	if w.node.UID == former {
		w.Fatal("the core Node is the same")
	}
}

// The core Node is deleted and created again while no controller runs.
func TestAnAgentLeavesWithItsCoreNodeAlsoWhenTheControllerWasAway(t *testing.T) {
	w := newWorkload(newFleet(t))
	w.rule("fleet: " + w.Namespace + "\nnodePrefix: edge-\n")
	laptop := w.Pair("laptop")
	name := "edge-" + w.nodeName()
	agent := w.paired(name)
	done := w.Ended(w.Ask(name, "echo", map[string]any{"text": "hi"}))

	system.Controller.Kill()
	w.drop(w.node)
	w.rejoin()
	w.endLease()
	if err := system.StartController(); err != nil {
		t.Fatal(err)
	}
	w.leaves(name)
	if err := agent.WaitFor(w.Within(), "refuses this machine"); err != nil {
		t.Errorf("the session goes on: %v\n%s", err, agent.Tail(10))
	}
	agent.Stop()
	w.paired(name)
	if node := w.Node(name); node.Spec.ServiceAccount == nil || node.Spec.ServiceAccount.NodeUID != string(w.node.UID) {
		t.Errorf("the Node is not of the new core Node: %+v", node.Spec.ServiceAccount)
	}
	if err := system.Client.Get(t.Context(), client.ObjectKeyFromObject(done), &v1alpha1.CapabilityDispatch{}); err != nil {
		t.Errorf("a finished dispatch is not kept: %v", err)
	}
	w.Works("laptop")
	if strings.Contains(laptop.Output(), "refuses this machine") {
		t.Error("the laptop was cut off")
	}
}

// A changed rule must neither give a machine a second identity nor admit a revoked one.
func TestAChangedPrefixMakesNoSecondIdentity(t *testing.T) {
	t.Parallel()
	w := newWorkload(newFleet(t))
	w.rule("fleet: " + w.Namespace + "\n")
	agent := w.paired(w.nodeName())
	w.rule("fleet: " + w.Namespace + "\nnodePrefix: edge-\n")
	w.Works(w.nodeName()) // a paired machine keeps its name

	refused := func() {
		t.Helper()
		second := w.start(w.token("mooring", w.toPod()), w.ca())
		expectExit(w.fleet, second, v1alpha1.ReasonNameTaken)
		var requests v1alpha1.PairingRequestList
		if err := system.Client.List(t.Context(), &requests, client.InNamespace(w.Namespace)); err != nil {
			t.Fatal(err)
		}
		for i := range requests.Items {
			r := &requests.Items[i]
			said := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionCompleted)
			if r.Spec.NodeName == "edge-"+w.nodeName() && (said == nil || !strings.Contains(said.Message, `is Node "`+w.nodeName()+`" of fleet`)) {
				t.Errorf("the request does not name the other Node: %+v", said)
			}
		}
	}
	refused()
	w.Desire(w.nodeName(), v1alpha1.NodeRevoked)
	refused()
	agent.Stop()
	if err := system.Client.Delete(t.Context(), w.Node(w.nodeName())); err != nil {
		t.Fatal(err)
	}
	w.leaves(w.nodeName())
	w.paired("edge-" + w.nodeName())
}
