package threats_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/nodeagent/store"
	"github.com/mooring-dev/mooring/test/stack"
)

// patience bounds every wait; a condition that holds ends it at once.
const patience = 60 * time.Second

// fleet is a namespace of one test.
type fleet struct {
	*testing.T
	namespace string
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	return &fleet{t, system.Cluster.Namespace(t)}
}

func (f *fleet) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: f.namespace, Name: name}
}

// within is the test's context, bounded.
func (f *fleet) within() context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	f.Cleanup(cancel)
	return ctx
}

// await waits until done accepts the object of that name.
func await[T client.Object](f *fleet, name string, object T, what string, done func(T) bool) T {
	f.Helper()
	got, err := stack.WaitObject(f.within(), system.Client, f.key(name), object, what, done)
	if err != nil {
		f.Fatal(err)
	}
	return got
}

func (f *fleet) eventually(what string, ok func() bool) {
	f.Helper()
	if err := stack.Poll(f.within(), ok); err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// read gets an object anew.
func read[T client.Object](f *fleet, object T) T {
	f.Helper()
	if err := system.Client.Get(f.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		f.Fatal(err)
	}
	return object
}

func (f *fleet) node(name string) *v1alpha1.Node {
	f.Helper()
	return read(f, &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}})
}

// issue makes a code for a Node and returns what a person would type.
func (f *fleet) issue(node string) (code string, object *v1alpha1.PairingCode) {
	f.Helper()
	secret, object := f.issueCode(v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: node})
	return string(secret.Data[v1alpha1.SecretKeyCode]), object
}

// issueCode makes a code and returns the Secret for people.
func (f *fleet) issueCode(spec v1alpha1.PairingCodeSpec) (*corev1.Secret, *v1alpha1.PairingCode) {
	f.Helper()
	object := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "code-" + rand.String(6)}, Spec: spec}
	if err := system.Client.Create(f.Context(), object); err != nil {
		f.Fatal(err)
	}
	object = await(f, object.Name, object, "Active", func(c *v1alpha1.PairingCode) bool {
		return c.Status.Phase == v1alpha1.PairingCodeActive && c.Status.SecretName != ""
	})
	return await(f, object.Status.SecretName, &corev1.Secret{}, "there", func(s *corev1.Secret) bool { return len(s.Data) > 0 }), object
}

func (f *fleet) agent(node string, args ...string) *stack.Process {
	f.Helper()
	agent, err := system.StartAgent(f.namespace+"-"+node, args...)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(agent.Stop)
	return agent
}

// requestOf waits for the Pending request that a code led to.
func (f *fleet) requestOf(code string) *v1alpha1.PairingRequest {
	f.Helper()
	var found *v1alpha1.PairingRequest
	f.eventually("a Pending request of code "+code, func() bool {
		var list v1alpha1.PairingRequestList
		if err := system.Client.List(f.Context(), &list, client.InNamespace(f.namespace)); err != nil {
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

// knock starts an agent that pairs and waits until it waits for a person.
func (f *fleet) knock(node string) (*stack.Process, *v1alpha1.PairingRequest) {
	f.Helper()
	code, object := f.issue(node)
	agent := f.agent(node, "--code", code)
	return agent, f.requestOf(object.Name)
}

func (f *fleet) approve(request *v1alpha1.PairingRequest) {
	f.Helper()
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"decision":{"verdict":"Approved"}}}`))
	if err := system.Client.Patch(f.Context(), request.DeepCopy(), patch); err != nil {
		f.Fatal(err)
	}
}

// pair brings a machine Online under that name.
func (f *fleet) pair(node string) *stack.Process {
	f.Helper()
	agent, request := f.knock(node)
	f.approve(request)
	f.online(node)
	return agent
}

func (f *fleet) online(node string) *v1alpha1.Node {
	f.Helper()
	return await(f, node, &v1alpha1.Node{}, "Online", func(n *v1alpha1.Node) bool { return n.Status.Presence == v1alpha1.PresenceOnline })
}

// stolen pairs a machine, stops its agent and takes its identity.
func (f *fleet) stolen(node string) store.Identity {
	f.Helper()
	return f.stolenAs(node, node)
}

// stolenAs is stolen for a machine whose files are kept under another name than its Node's.
func (f *fleet) stolenAs(node, files string) store.Identity {
	f.Helper()
	code, object := f.issue(node)
	agent := f.agent(files, "--code", code)
	f.approve(f.requestOf(object.Name))
	f.online(node)
	agent.Stop()
	await(f, node, &v1alpha1.Node{}, "without a session", func(n *v1alpha1.Node) bool { return !dispatch.SessionOf(n).Live() })
	return f.identityOf(files)
}

func (f *fleet) identityOf(files string) store.Identity {
	f.Helper()
	directory, err := store.Open(system.IdentityDir(f.namespace + "-" + files))
	if err != nil {
		f.Fatal(err)
	}
	defer directory.Close()
	id, err := directory.Identity()
	if err != nil {
		f.Fatal(err)
	}
	return id
}

// ask creates a dispatch.
func (f *fleet) ask(node, capability string, input any) *v1alpha1.CapabilityDispatch {
	f.Helper()
	raw, err := json.Marshal(input)
	if err != nil {
		f.Fatal(err)
	}
	d := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "d-" + rand.String(8)},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: capability, Input: &v1alpha1.JSON{Raw: raw}},
	}
	if err := system.Client.Create(f.Context(), d); err != nil {
		f.Fatal(err)
	}
	return d
}

// ended waits for a terminal phase.
func (f *fleet) ended(d *v1alpha1.CapabilityDispatch) *v1alpha1.CapabilityDispatch {
	f.Helper()
	return await(f, d.Name, &v1alpha1.CapabilityDispatch{}, "terminal", func(d *v1alpha1.CapabilityDispatch) bool {
		return dispatch.Terminal(d.Status.Phase)
	})
}
