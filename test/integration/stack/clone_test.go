package stack_test

import (
	"os"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// An attacker copies the identity directory of a machine and runs both.
func TestCopiedIdentityIsSuspected(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	original := f.Pair("kiosk")
	original.Stop()
	f.awaitOffline("kiosk")
	name := func(node string) string { return f.Namespace + "-" + node }
	if err := os.CopyFS(system.IdentityDir(name("copy")), os.DirFS(system.IdentityDir(name("kiosk")))); err != nil {
		t.Fatal(err)
	}
	restorePermissions(t, system.IdentityDir(name("copy")))

	f.StartAgent("kiosk")
	f.AwaitOnline("kiosk")
	copied := f.StartAgent("copy")
	testfleet.Await(f, "kiosk", &v1alpha1.Node{}, "suspected of a clone", func(n *v1alpha1.Node) bool {
		for _, c := range n.Status.Conditions {
			if c.Type == v1alpha1.ConditionSuspectedClone && c.Status == "True" && c.Reason == v1alpha1.ReasonDialRepeated {
				return true
			}
		}
		return false
	})
	if err := copied.WaitFor(f.BoundedContext(), "is a copy of the identity directory in use?"); err != nil {
		t.Error(err)
	}
	copied.Stop()
	f.AwaitOnline("kiosk")
	d := f.AwaitEnded(f.CreateDispatch("kiosk", "echo", map[string]any{"after": "the copy"}))
	if d.Status.Phase != v1alpha1.DispatchSucceeded {
		t.Errorf("after the copy stopped a dispatch ended %+v", d.Status)
	}
}

// awaitOffline waits until the Node has no session.
func (f *fleet) awaitOffline(node string) {
	f.Helper()
	testfleet.Await(f, node, &v1alpha1.Node{}, "without a session", func(n *v1alpha1.Node) bool {
		return n.Status.SessionEndedTime != nil
	})
}

// restorePermissions sets the permissions of a copied directory that an agent requires.
func restorePermissions(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Chmod(dir+"/"+e.Name(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
