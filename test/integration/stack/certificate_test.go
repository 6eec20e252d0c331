package stack_test

import (
	"context"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// lifetime is the lifetime of the certificates of this test.
const lifetime = 30 * time.Second

// restartController stops the controller gracefully and starts it again with args in addition to
// its flags.
func restartController(f *fleet, args ...string) {
	f.Helper()
	before := system.ControllerArgs
	system.ControllerArgs = append(before[:len(before):len(before)], args...)
	defer func() { system.ControllerArgs = before }()
	system.Controller.Stop()
	if err := system.StartController(); err != nil {
		f.Fatal(err)
	}
	// A cleanup calls this function too, when the test's own context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.Context()), testfleet.WaitTimeout)
	defer cancel()
	if err := system.Controller.WaitReady(ctx); err != nil {
		f.Fatal(err)
	}
}

// Four machines have certificates of half a minute. The first renews; the second also changes its
// key. The third sleeps past the end of its certificate and returns; the fourth is revoked while it
// sleeps.
func TestCertificatesAreRenewedRotatedAndRecovered(t *testing.T) {
	f := newFleet(t)
	restartController(f, "--certificate-duration="+lifetime.String())
	t.Cleanup(func() { restartController(f) })
	sleeper, revoked := f.Pair("sleeper"), f.Pair("revoked")
	sleeper.Stop()
	revoked.Stop()
	f.SetDesiredState("revoked", v1alpha1.NodeRevoked)
	f.Pair("renewer")
	rotator := f.Pair("rotator", "--rotate-key-every=1s")
	pinned := f.AwaitOnline("rotator").Spec.PublicKeySHA256

	t.Run("renewed over the live session at 70 to 90 % of its life", func(t *testing.T) { f.inSubtest(t).checkRenewed("renewer") })
	t.Run("rotated, and the machine that dies then comes back", func(t *testing.T) { f.inSubtest(t).checkRotated("rotator", pinned, rotator) })
	t.Run("recovered after it ended", func(t *testing.T) { f.inSubtest(t).checkRecovered("sleeper") })
	t.Run("not recovered by a machine that was revoked meanwhile", func(t *testing.T) {
		f := f.inSubtest(t)
		f.awaitExpired("revoked")
		agent := f.StartAgent("revoked")
		if err := agent.WaitFor(f.BoundedContext(), "cannot be recovered"); err != nil {
			t.Fatal(err)
		}
		var node v1alpha1.Node
		if err := system.Client.Get(t.Context(), f.ObjectKey("revoked"), &node); err != nil || node.Status.Presence == v1alpha1.PresenceOnline {
			t.Errorf("the revoked machine is %s: %v", node.Status.Presence, err)
		}
	})
}

// checkRenewed waits until the second certificate is in use, and checks when it was requested.
func (f *fleet) checkRenewed(name string) {
	f.Helper()
	node := testfleet.Await(f, name, &v1alpha1.Node{}, "on its second certificate", func(n *v1alpha1.Node) bool {
		history, used := n.Status.CertificateHistory, n.Status.Certificate
		return len(history) >= 2 && used != nil && used.FingerprintSHA256 == history[0].FingerprintSHA256 && n.Status.Presence == v1alpha1.PresenceOnline
	})
	second, first := node.Status.CertificateHistory[0], node.Status.CertificateHistory[1]
	age := second.NotBefore.Sub(first.NotBefore.Time)
	if age < lifetime*7/10-time.Second || age > lifetime*9/10+2*time.Second {
		f.Errorf("renewed at an age of %s, want 70 to 90 %% of %s", age, lifetime)
	}
	if second.PublicKeySHA256 != first.PublicKeySHA256 {
		f.Error("the renewal changed the key")
	}
	f.CheckEcho(name)
}

func (f *fleet) checkRotated(name, pinned string, agent *stack.Process) {
	f.Helper()
	f.Eventually("the next key to be the pin", func() bool {
		var n v1alpha1.Node // a new object: a removed field must be read as absent
		return system.Client.Get(f.Context(), f.ObjectKey(name), &n) == nil &&
			n.Spec.PublicKeySHA256 != pinned && n.Spec.NextPublicKeySHA256 == "" && n.Status.Certificate.PublicKeySHA256 == n.Spec.PublicKeySHA256
	})
	f.CheckEcho(name)
	agent.Kill()
	f.StartAgent(name, "--rotate-key-every=0")
	f.CheckEcho(name)
}

// awaitExpired waits until the newest certificate of a stopped machine has expired.
func (f *fleet) awaitExpired(name string) {
	f.Helper()
	testfleet.Await(f, name, &v1alpha1.Node{}, "without a valid certificate", func(n *v1alpha1.Node) bool {
		history := n.Status.CertificateHistory
		return len(history) > 0 && time.Now().After(history[0].NotAfter.Time)
	})
}

func (f *fleet) checkRecovered(name string) {
	f.Helper()
	f.awaitExpired(name)
	agent := f.StartAgent(name)
	if err := agent.WaitFor(f.BoundedContext(), "certificate recovered"); err != nil {
		f.Fatal(err)
	}
	f.AwaitOnline(name)
	f.CheckEcho(name)
}
