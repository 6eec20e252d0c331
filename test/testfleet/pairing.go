package testfleet

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
)

// IssuePIN creates a PIN for a Node of that name and returns the code that a person would type.
func (f *Fleet) IssuePIN(node string) (code string, object *v1alpha1.PairingCode) {
	f.Helper()
	secret, object := f.IssueCode(v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: node})
	return string(secret.Data[v1alpha1.SecretKeyCode]), object
}

// IssueCode creates a code and returns the Secret that a person reads.
func (f *Fleet) IssueCode(spec v1alpha1.PairingCodeSpec) (*corev1.Secret, *v1alpha1.PairingCode) {
	f.Helper()
	object := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: "code-" + rand.String(6)}, Spec: spec}
	if err := f.System.Client.Create(f.Context(), object); err != nil {
		f.Fatalf("create a code: %v", err)
	}
	object = Await(f, object.Name, object, "Active", func(c *v1alpha1.PairingCode) bool {
		return c.Status.Phase == v1alpha1.PairingCodeActive && c.Status.SecretName != ""
	})
	return Await(f, object.Status.SecretName, &corev1.Secret{}, "there", func(s *corev1.Secret) bool { return len(s.Data) > 0 }), object
}

// StartAgent starts an agent; a second call with the same name uses the same identity directory.
func (f *Fleet) StartAgent(name string, args ...string) *stack.Process {
	f.Helper()
	agent, err := f.System.StartAgent(f.agentFiles(name), args...)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(agent.Stop)
	return agent
}

func (f *Fleet) agentFiles(name string) string { return f.Namespace + "-" + name }

// IdentityDir returns the identity directory of the agent of that name.
func (f *Fleet) IdentityDir(name string) string { return f.System.IdentityDir(f.agentFiles(name)) }

// AwaitRequest waits for the Pending request of a code.
func (f *Fleet) AwaitRequest(code string) *v1alpha1.PairingRequest {
	f.Helper()
	var found *v1alpha1.PairingRequest
	f.Eventually("a Pending request of code "+code, func() bool {
		var list v1alpha1.PairingRequestList
		if err := f.System.Client.List(f.Context(), &list, client.InNamespace(f.Namespace)); err != nil {
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

// StartPairing starts an agent that pairs, and returns when the agent waits for approval.
func (f *Fleet) StartPairing(node string, args ...string) (*stack.Process, *v1alpha1.PairingRequest) {
	f.Helper()
	code, object := f.IssuePIN(node)
	agent := f.StartAgent(node, append(args, "--code", code)...)
	if err := agent.WaitFor(f.BoundedContext(), "Waiting for approval"); err != nil {
		f.Fatal(err)
	}
	return agent, f.AwaitRequest(object.Name)
}

// Approve approves a request as kubectl patch does.
func (f *Fleet) Approve(request string) {
	f.Helper()
	f.Decide(request, `{"verdict":"Approved"}`)
}

// Decide merges a JSON document into the decision of a request.
func (f *Fleet) Decide(request, decision string) {
	f.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"decision":%s}}`, decision)
	object := &v1alpha1.PairingRequest{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: request}}
	if err := f.System.Client.Patch(f.Context(), object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		f.Fatalf("decide %s: %v", request, err)
	}
}

// Pair pairs a machine under that name and waits for its first session.
func (f *Fleet) Pair(node string, args ...string) *stack.Process {
	f.Helper()
	agent, request := f.StartPairing(node, args...)
	f.Approve(request.Name)
	f.AwaitConnected(node)
	return agent
}

// AwaitOnline waits until a machine has a session and all its announced capabilities work.
func (f *Fleet) AwaitOnline(node string) *v1alpha1.Node {
	f.Helper()
	return Await(f, node, &v1alpha1.Node{}, "Online", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceOnline
	})
}

// AwaitConnected waits until a machine has a session, even if some of its capabilities do not work.
func (f *Fleet) AwaitConnected(node string) *v1alpha1.Node {
	f.Helper()
	return Await(f, node, &v1alpha1.Node{}, "connected", func(n *v1alpha1.Node) bool {
		return n.Status.Presence == v1alpha1.PresenceOnline || n.Status.Presence == v1alpha1.PresenceDegraded
	})
}
