package machine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/stack"
)

// patience bounds every wait; a condition that holds ends it at once.
const patience = 90 * time.Second

// fleet is a namespace of one test.
type fleet struct {
	t         *testing.T
	namespace string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	return &fleet{t: t, namespace: system.Cluster.Namespace(t)}
}

func (f *fleet) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: f.namespace, Name: name}
}

// within is the test's context, bounded.
func (f *fleet) within() context.Context {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	return ctx
}

// await waits until done accepts the object of that name.
func await[T client.Object](f *fleet, name string, obj T, what string, done func(T) bool) T {
	f.t.Helper()
	got, err := stack.WaitObject(f.within(), system.Client, f.key(name), obj, what, done)
	if err != nil {
		f.t.Fatal(err)
	}
	return got
}

// issue makes a code and returns what a person would type.
func (f *fleet) issue(spec v1alpha1.PairingCodeSpec) (code string, object *v1alpha1.PairingCode) {
	f.t.Helper()
	spec.Method = v1alpha1.PairingMethodPIN
	object = &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "code-" + rand.String(6)}, Spec: spec}
	if err := system.Client.Create(f.t.Context(), object); err != nil {
		f.t.Fatalf("create a code: %v", err)
	}
	object = await(f, object.Name, object, "Active", func(c *v1alpha1.PairingCode) bool {
		return c.Status.Phase == v1alpha1.PairingCodeActive && c.Status.SecretName != ""
	})
	secret := await(f, object.Status.SecretName, &corev1.Secret{}, "there", func(s *corev1.Secret) bool { return len(s.Data) > 0 })
	return string(secret.Data[v1alpha1.SecretKeyCode]), object
}

// knock starts an agent that pairs and waits until it waits for a person.
func (f *fleet) knock(node string, args ...string) (*stack.Process, *v1alpha1.PairingRequest) {
	f.t.Helper()
	code, object := f.issue(v1alpha1.PairingCodeSpec{NodeName: node})
	agent := f.agent(node, append(args, "--code", code)...)
	if err := agent.WaitFor(f.within(), "Waiting for approval"); err != nil {
		f.t.Fatal(err)
	}
	return agent, f.requestOf(object.Name)
}

func (f *fleet) agent(node string, args ...string) *stack.Process {
	f.t.Helper()
	agent, err := system.StartAgent(f.namespace+"-"+node, args...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(agent.Stop)
	return agent
}

func (f *fleet) requestOf(code string) *v1alpha1.PairingRequest {
	f.t.Helper()
	var found *v1alpha1.PairingRequest
	f.eventually("a Pending request of code "+code, func() bool {
		var list v1alpha1.PairingRequestList
		if err := system.Client.List(f.t.Context(), &list, client.InNamespace(f.namespace)); err != nil {
			return false
		}
		for i := range list.Items {
			if list.Items[i].Spec.CodeName == code && list.Items[i].Status.Phase == v1alpha1.PairingRequestPending {
				found = &list.Items[i]
			}
		}
		return found != nil
	})
	return found
}

func (f *fleet) eventually(what string, ok func() bool) {
	f.t.Helper()
	if err := stack.Poll(f.within(), ok); err != nil {
		f.t.Fatalf("%s: %v", what, err)
	}
}

// decide does what kubectl patch does.
func (f *fleet) decide(request string, verdict v1alpha1.Verdict, reason string) {
	f.t.Helper()
	patch := fmt.Sprintf(`{"spec":{"decision":{"verdict":%q,"reason":%q}}}`, verdict, reason)
	object := &v1alpha1.PairingRequest{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: request}}
	if err := system.Client.Patch(f.t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		f.t.Fatalf("decide %s: %v", request, err)
	}
}

// pair brings a machine Online under that name.
func (f *fleet) pair(node string, args ...string) *stack.Process {
	f.t.Helper()
	agent, request := f.knock(node, args...)
	f.decide(request.Name, v1alpha1.VerdictApproved, "")
	f.connected(node)
	return agent
}

func (f *fleet) online(node string) *v1alpha1.Node {
	f.t.Helper()
	return await(f, node, &v1alpha1.Node{}, "Online", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceOnline
	})
}

// connected waits for a session, whatever the machine cannot do.
func (f *fleet) connected(node string) *v1alpha1.Node {
	f.t.Helper()
	return await(f, node, &v1alpha1.Node{}, "connected", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceOnline || n.Status.Presence == v1alpha1.PresenceDegraded
	})
}

// ask creates a dispatch.
func (f *fleet) ask(node, capability string, input any, change ...func(*v1alpha1.CapabilityDispatchSpec)) *v1alpha1.CapabilityDispatch {
	f.t.Helper()
	raw, err := json.Marshal(input)
	if err != nil {
		f.t.Fatal(err)
	}
	d := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "d-" + rand.String(8)},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: capability, Input: &v1alpha1.JSON{Raw: raw}},
	}
	for _, c := range change {
		c(&d.Spec)
	}
	if err := system.Client.Create(f.t.Context(), d); err != nil {
		f.t.Fatalf("create dispatch: %v", err)
	}
	return d
}

// ended waits for a terminal phase.
func (f *fleet) ended(d *v1alpha1.CapabilityDispatch) *v1alpha1.CapabilityDispatch {
	f.t.Helper()
	return await(f, d.Name, &v1alpha1.CapabilityDispatch{}, "terminal", func(d *v1alpha1.CapabilityDispatch) bool {
		return terminal(d.Status.Phase)
	})
}

func terminal(phase v1alpha1.DispatchPhase) bool {
	switch phase {
	case v1alpha1.DispatchQueued, v1alpha1.DispatchDispatched, v1alpha1.DispatchAwaitingLocalMediation, "":
		return false
	default:
		return true
	}
}
