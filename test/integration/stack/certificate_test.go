package stack_test

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/stack"
)

// lifetime is that of the certificates of this test.
const lifetime = 30 * time.Second

// restartController stops the controller in order and starts it again with more flags.
func restartController(f *fleet, args ...string) {
	f.t.Helper()
	before := system.ControllerArgs
	system.ControllerArgs = append(before[:len(before):len(before)], args...)
	defer func() { system.ControllerArgs = before }()
	system.Controller.Stop()
	if err := system.StartController(); err != nil {
		f.t.Fatal(err)
	}
	// A cleanup calls this too, when the test's own context is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.t.Context()), patience)
	defer cancel()
	if err := system.Controller.WaitReady(ctx); err != nil {
		f.t.Fatal(err)
	}
}

// Four machines with certificates of half a minute: one renews, one also changes its key, one
// sleeps past the end and comes back, one sleeps and is revoked meanwhile.
func TestCertificatesAreRenewedRotatedAndRecovered(t *testing.T) {
	f := newFleet(t)
	restartController(f, "--certificate-duration="+lifetime.String())
	t.Cleanup(func() { restartController(f) })
	sleeper, revoked := f.pair("sleeper"), f.pair("revoked")
	sleeper.Stop()
	revoked.Stop()
	f.revoke("revoked")
	f.pair("renewer")
	rotator := f.pair("rotator", "--rotate-key-every=1s")
	pinned := f.online("rotator").Spec.PublicKeySHA256

	t.Run("renewed over the live session at 70 to 90 % of its life", func(t *testing.T) { f.on(t).renewed("renewer") })
	t.Run("rotated, and the machine that dies then comes back", func(t *testing.T) { f.on(t).rotated("rotator", pinned, rotator) })
	t.Run("recovered after it ended", func(t *testing.T) { f.on(t).recovered("sleeper") })
	t.Run("not recovered by a machine that was revoked meanwhile", func(t *testing.T) {
		f := f.on(t)
		f.expired("revoked")
		agent := f.agent("revoked")
		if err := agent.WaitFor(f.within(), "cannot be recovered"); err != nil {
			t.Fatal(err)
		}
		var node v1alpha1.Node
		if err := system.Client.Get(t.Context(), f.key("revoked"), &node); err != nil || node.Status.Presence == v1alpha1.PresenceOnline {
			t.Errorf("the revoked machine is %s: %v", node.Status.Presence, err)
		}
	})
}

// on is the same fleet in a subtest.
func (f *fleet) on(t *testing.T) *fleet { return &fleet{t: t, namespace: f.namespace} }

func (f *fleet) revoke(name string) {
	f.t.Helper()
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}
	if err := system.Client.Patch(f.t.Context(), node, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"desiredState":"Revoked"}}`))); err != nil {
		f.t.Fatal(err)
	}
}

// works is proof that the machine is let in.
func (f *fleet) works(name string) {
	f.t.Helper()
	if d := f.ended(f.ask(name, "echo", map[string]any{"text": "hi"})); d.Status.Phase != v1alpha1.DispatchSucceeded {
		f.t.Errorf("a dispatch to %s ended %+v", name, d.Status)
	}
}

// renewed waits for a second certificate that is in use, and looks when it was asked for.
func (f *fleet) renewed(name string) {
	f.t.Helper()
	node := await(f, name, &v1alpha1.Node{}, "on its second certificate", func(n *v1alpha1.Node) bool {
		history, used := n.Status.CertificateHistory, n.Status.Certificate
		return len(history) >= 2 && used != nil && used.FingerprintSHA256 == history[0].FingerprintSHA256 && n.Status.Presence == v1alpha1.PresenceOnline
	})
	second, first := node.Status.CertificateHistory[0], node.Status.CertificateHistory[1]
	age := second.NotBefore.Sub(first.NotBefore.Time)
	if age < lifetime*7/10-time.Second || age > lifetime*9/10+2*time.Second {
		f.t.Errorf("renewed at an age of %s, want 70 to 90 %% of %s", age, lifetime)
	}
	if second.PublicKeySHA256 != first.PublicKeySHA256 {
		f.t.Error("the renewal changed the key")
	}
	f.works(name)
}

func (f *fleet) rotated(name, pinned string, agent *stack.Process) {
	f.t.Helper()
	f.eventually("the next key to be the pin", func() bool {
		var n v1alpha1.Node // a fresh one: a field that is gone must be seen as gone
		return system.Client.Get(f.t.Context(), f.key(name), &n) == nil &&
			n.Spec.PublicKeySHA256 != pinned && n.Spec.NextPublicKeySHA256 == "" && n.Status.Certificate.PublicKeySHA256 == n.Spec.PublicKeySHA256
	})
	f.works(name)
	agent.Kill()
	f.agent(name, "--rotate-key-every=0")
	f.works(name)
}

// expired waits until the newest certificate of a machine that is away has ended.
func (f *fleet) expired(name string) {
	f.t.Helper()
	await(f, name, &v1alpha1.Node{}, "without a valid certificate", func(n *v1alpha1.Node) bool {
		history := n.Status.CertificateHistory
		return len(history) > 0 && time.Now().After(history[0].NotAfter.Time)
	})
}

func (f *fleet) recovered(name string) {
	f.t.Helper()
	f.expired(name)
	agent := f.agent(name)
	if err := agent.WaitFor(f.within(), "certificate recovered"); err != nil {
		f.t.Fatal(err)
	}
	f.online(name)
	f.works(name)
}
