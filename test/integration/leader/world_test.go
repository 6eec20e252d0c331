package leader

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// fixture is one fleet with the clients that act in it. The administrator acts for users, the
// controller's account for the pairing, and a gateway's account for sessions.
type fixture struct {
	t          *testing.T
	namespace  string
	admin      client.Client
	controller client.Client
	gateway    client.Client
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{t: t, namespace: shared.Namespace(t), admin: shared.Client()}
	for account, into := range map[string]*client.Client{
		v1alpha1.ControllerServiceAccount: &w.controller, v1alpha1.GatewayServiceAccount: &w.gateway,
	} {
		config, err := shared.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, account)
		if err != nil {
			t.Fatal(err)
		}
		config.QPS = -1
		*into = shared.ClientFor(t, config)
	}
	return w
}

// createNode creates a Node as an approval does.
func (w *fixture) createNode(name string, change ...func(*v1alpha1.Node)) *v1alpha1.Node {
	w.t.Helper()
	node := &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: v1alpha1.NodeSpec{
			PublicKeySHA256: strings.Repeat("ab", 32), PairingRequestUID: "uid",
			CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo"}},
		},
	}
	for _, c := range change {
		c(node)
	}
	if err := w.controller.Create(w.t.Context(), node); err != nil {
		w.t.Fatal(err)
	}
	return node
}

// createLease creates the Lease of a gateway that renewed it age ago.
func (w *fixture) createLease(gateway string, age time.Duration) {
	w.t.Helper()
	renewed := metav1.NewMicroTime(apiClock.Now().Add(-age))
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.GatewayLeasePrefix + gateway,
			Labels: map[string]string{v1alpha1.LabelComponent: v1alpha1.LabelComponentGateway},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &gateway, LeaseDurationSeconds: ptr.To(int32(2)), RenewTime: &renewed},
	}
	if err := w.gateway.Create(w.t.Context(), lease); err != nil {
		w.t.Fatal(err)
	}
}

// applySession records a session as a gateway does, with the given start and, if not nil, end.
func (w *fixture) applySession(node, gateway string, started time.Time, ended *time.Time) {
	w.t.Helper()
	status := map[string]any{
		"presence": "Online", "gateway": gateway, "sessionID": "s",
		"sessionStartedTime": started.UTC().Format(time.RFC3339),
		"capabilities":       []any{map[string]any{"name": "echo", "available": true}, map[string]any{"name": "shell", "available": false}},
		"conditions": []any{map[string]any{
			"type": "Connected", "status": "True", "reason": "SessionStarted", "message": "", "lastTransitionTime": started.UTC().Format(time.RFC3339),
		}},
	}
	if ended != nil {
		status["presence"], status["sessionEndedTime"] = "Stale", ended.UTC().Format(time.RFC3339)
		status["conditions"].([]any)[0].(map[string]any)["status"] = "False"
		status["conditions"].([]any)[0].(map[string]any)["reason"] = "SessionLost"
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": w.namespace, "name": node}, "status": status,
	}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Node"))
	err := w.gateway.Status().Apply(w.t.Context(), client.ApplyConfigurationFromUnstructured(object),
		client.FieldOwner(v1alpha1.FieldManagerSession), client.ForceOwnership)
	if err != nil {
		w.t.Fatal(err)
	}
}

// createDispatch creates a dispatch of echo for a Node.
func (w *fixture) createDispatch(name, node string, change ...func(*v1alpha1.CapabilityDispatch)) *v1alpha1.CapabilityDispatch {
	w.t.Helper()
	d := &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec: v1alpha1.CapabilityDispatchSpec{
			NodeName: node, Capability: "echo", ExpirySeconds: 600, TimeoutSeconds: 1,
			Input: &v1alpha1.JSON{Raw: []byte(`{"say":"hello"}`)},
		},
	}
	for _, c := range change {
		c(d)
	}
	if err := w.admin.Create(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

// markClaimed sets the phase that a gateway sets before it offers backlog.
func (w *fixture) markClaimed(d *v1alpha1.CapabilityDispatch) {
	w.t.Helper()
	d.Status.Phase = v1alpha1.DispatchDispatched
	if err := w.gateway.Status().Update(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
}

// waitForDispatch waits until a dispatch has the given phase, execution and error code.
func (w *fixture) waitForDispatch(d *v1alpha1.CapabilityDispatch, phase v1alpha1.DispatchPhase, execution v1alpha1.Execution, code string) {
	w.t.Helper()
	soon.Succeeds(w.t, "dispatch "+d.Name, func(context.Context) error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(d), d); err != nil {
			return err
		}
		s := d.Status
		if s.Phase != phase || s.Execution != execution || s.Error == nil || s.Error.Code != code {
			return fmt.Errorf("it is %s/%s, error %+v; want %s/%s/%s", s.Phase, s.Execution, s.Error, phase, execution, code)
		}
		return nil
	})
}

// waitForNode waits until check accepts a Node. what names the expected state in failures.
func (w *fixture) waitForNode(name, what string, check func(*v1alpha1.Node) bool) *v1alpha1.Node {
	w.t.Helper()
	node := &v1alpha1.Node{}
	soon.Succeeds(w.t, "node "+name, func(context.Context) error {
		if err := w.admin.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: name}, node); err != nil {
			return err
		}
		if !check(node) {
			return fmt.Errorf("it is not %s: %+v", what, node.Status)
		}
		return nil
	})
	return node
}
