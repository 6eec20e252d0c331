package machine_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// fillDisk writes a file that takes all free space of a disk.
func fillDisk(t *testing.T, dir string) (filler string) {
	t.Helper()
	filler = filepath.Join(dir, "filler")
	file, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = file.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	return filler
}

// TestAMachineWithAFullDiskSaysSo fills the disk of the journal, without which a machine runs nothing.
// The Node must show the reason, and each dispatch must end with a true status.
func TestAMachineWithAFullDiskSaysSo(t *testing.T) {
	f := newFleet(t)
	identity := system.IdentityDir(f.Namespace + "-kiosk")
	if err := os.Mkdir(identity, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", identity, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		t.Skip("a small disk cannot be mounted here:", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(identity, unix.MNT_DETACH) })
	m := &machine{fleet: f, dir: t.TempDir(), node: "kiosk", folder: filepath.Join(identity, "capabilities.d")}
	if err := os.Mkdir(m.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	m.writeCapability("own.big", shellCapability("echo run >>{dir}/runs\nhead -c 60000 /dev/zero | tr '\\0' x"))
	m.process = m.Pair(m.node)
	m.CheckEcho(m.node)
	filler := fillDisk(t, identity)

	var node v1alpha1.Node
	state := func() (presence v1alpha1.NodePresence, message string) {
		if err := system.Client.Get(t.Context(), f.ObjectKey(m.node), &node); err != nil {
			t.Fatal(err)
		}
		if c := meta.FindStatusCondition(node.Status.Conditions, v1alpha1.ConditionConnected); c != nil {
			message = c.Message
		}
		return node.Status.Presence, message
	}
	big := m.CreateDispatch(m.node, "own.big", map[string]any{})
	m.Eventually("the Node shows why it runs nothing", func() bool {
		presence, message := state()
		return presence == v1alpha1.PresenceDegraded && strings.Contains(message, "cannot record what it runs") && strings.Contains(message, "no space left on device")
	})
	// The dispatch ran. Its status must record that, even without the output.
	if s := m.AwaitEnded(big).Status; s.Phase != v1alpha1.DispatchSucceeded || s.Execution != v1alpha1.ExecutionFinished || !s.OutputTruncated {
		t.Errorf("the dispatch that ran when the disk became full ended %+v", s)
	}
	if s := m.AwaitEnded(m.CreateDispatch(m.node, "own.big", map[string]any{})).Status; s.Phase != v1alpha1.DispatchRejected || s.Execution != v1alpha1.ExecutionNotStarted ||
		!strings.Contains(s.Error.Message, "no space left on device") {
		t.Errorf("the dispatch created after that ended %+v", s)
	}
	if runs, err := os.ReadFile(filepath.Join(m.dir, "runs")); err != nil || string(runs) != "run\n" {
		t.Errorf("the file of runs is %q, %v", runs, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.Eventually("the Node works again", func() bool {
		presence, message := state()
		return presence == v1alpha1.PresenceOnline && !strings.Contains(message, "cannot")
	})
	m.CheckEcho(m.node)
}
