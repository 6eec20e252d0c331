package stack_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/spawner"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// laptop is a machine with its own service manager, separate from that of the test machine.
type laptop struct {
	*fleet
	home string
}

func newLaptop(f *fleet) *laptop {
	f.Helper()
	l := &laptop{f, f.TempDir()}
	if err := os.Mkdir(l.services().Dir, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := l.services().Stop(); err != nil {
			f.Error(err)
		}
	})
	return l
}

func (l *laptop) services() spawner.Manager {
	return spawner.Manager{Dir: filepath.Join(l.home, "services")}
}
func (l *laptop) identity() string { return filepath.Join(l.home, "identity") }

// runAgent runs the command line, checks the exit code, and returns the output.
func (l *laptop) runAgent(code int, args ...string) string {
	l.Helper()
	cmd := exec.CommandContext(l.Context(), filepath.Join(system.Root, ".local", "bin", "testagent"), args...)
	cmd.Env = []string{"HOME=" + l.home, "PATH=/usr/bin:/bin", "MOORING_CONFIG=" + filepath.Join(l.home, "mooring-agent", "config.yaml"),
		"MOORING_IDENTITY_DIR=" + l.identity(), "MOORING_TEST_SERVICES=" + l.services().Dir}
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
		l.Errorf("%s: %v, want exit code %d:\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

// A machine gives up its identity: first while the gateway cannot be reached, then while it can.
func TestUninstallRevokesTheNode(t *testing.T) {
	f := newFleet(t)
	l := newLaptop(f)
	code, object := f.IssuePIN("laptop")
	installed := make(chan string, 1)
	go func() {
		installed <- l.runAgent(0, "install", "--now", "--pairing", system.PairingEndpoint, "--code", code)
	}()
	f.Approve(f.AwaitRequest(object.Name).Name)
	if output := <-installed; !strings.Contains(output, "Started: process") {
		t.Fatalf("installed: %s", output)
	}
	f.AwaitOnline("laptop")

	system.Gateways[0].Stop()
	output := l.runAgent(13, "uninstall", "--revoke", "--yes")
	status := l.runAgent(20, "status") // the stopped service runs again, with its identity
	if err := system.StartGateway(0); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(output, "nothing was removed") || !strings.Contains(status, "yes, as node "+f.Namespace+"/laptop") {
		t.Errorf("while the gateway was down:\n%s\n%s", output, status)
	}
	l.runAgent(0, "status", "--wait", "2m")
	if trust := f.GetNode("laptop").Status.Trust; trust != v1alpha1.TrustTrusted {
		t.Errorf("after a failed revocation the Node is %s", trust)
	}

	began := time.Now()
	if output := l.runAgent(0, "uninstall", "--revoke", "--yes"); !strings.Contains(output, "The cluster recorded that") {
		t.Errorf("uninstall: %s", output)
	}
	testfleet.Await(f, "laptop", &v1alpha1.Node{}, "Revoked", func(n *v1alpha1.Node) bool { return n.Status.Trust == v1alpha1.TrustRevoked })
	t.Logf("uninstall to Revoked: %.2f s", time.Since(began).Seconds())
	if _, err := os.Stat(l.identity()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the identity directory: %v", err)
	}
	if output := l.runAgent(0, "uninstall", "--revoke", "--yes"); !strings.Contains(output, "No identity in") || !strings.Contains(output, "No service is installed") {
		t.Errorf("again: %s", output)
	}
}
