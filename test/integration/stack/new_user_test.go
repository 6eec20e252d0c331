package stack_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/poll"
	"github.com/mooring-dev/mooring/test/manual"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// A user without rights types the commands of the manual, word for word, next to the downloaded
// program. The machine becomes Online.
func TestTheManualBringsALaptopOnline(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	code, object := f.IssuePIN("laptop")
	commands, err := manual.Commands(filepath.Join(system.Root, "docs", "how-to", "install-the-agent.md"), "foreground",
		map[string]string{"gateway.example.com:7443": system.PairingEndpoint, "K7QX2M-482913": code})
	if err != nil {
		t.Fatal(err)
	}
	home, user := newUser(t)
	shell := exec.CommandContext(f.BoundedContext(), "bash", "-eu", "-c", commands)
	shell.Dir, shell.Env = home, []string{"HOME=" + home, "PATH=/usr/bin:/bin"}
	shell.SysProcAttr = &syscall.SysProcAttr{Credential: user, Setpgid: true}
	screen, err := os.Create(filepath.Join(t.TempDir(), "screen"))
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	shell.Stdout, shell.Stderr = screen, screen
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endGroup(t, shell.Process.Pid) })
	ended := make(chan error, 1)
	go func() { ended <- shell.Wait() }()

	f.Approve(f.AwaitRequest(object.Name).Name)
	if err := <-ended; err != nil {
		t.Errorf("the commands end with %v", err)
	}
	shown, err := os.ReadFile(screen.Name())
	if err != nil || !strings.Contains(string(shown), "yes, as node "+f.Namespace+"/laptop") || !strings.Contains(string(shown), "Connected") {
		t.Fatalf("%v; the screen shows:\n%s", err, shown)
	}
	f.AwaitOnline("laptop")
	f.CheckEcho("laptop")
}

// newUser returns a home directory that contains a downloaded program, and its user. The user has
// no rights if the test runs as root.
func newUser(t *testing.T) (home string, user *syscall.Credential) {
	t.Helper()
	home = t.TempDir()
	program := filepath.Join(home, "mooring-agent")
	content, err := os.ReadFile(filepath.Join(system.Root, ".local", "bin", "mooring-agent"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		return home, nil
	}
	user = &syscall.Credential{Uid: 65534, Gid: 65534}
	for _, path := range []string{home, program} {
		if err := os.Chown(path, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	for path := filepath.Dir(home); path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return home, user
}

// endGroup ends the background processes of a shell and waits for their end.
func endGroup(t *testing.T, group int) {
	ctx, cancel := context.WithTimeout(context.Background(), testfleet.WaitTimeout)
	defer cancel()
	if err := syscall.Kill(-group, syscall.SIGTERM); errors.Is(err, syscall.ESRCH) {
		return
	}
	if err := poll.UntilTrue(ctx, func() bool { return errors.Is(syscall.Kill(-group, 0), syscall.ESRCH) }); err != nil {
		t.Errorf("the background processes of the shell do not end: %v", errors.Join(err, syscall.Kill(-group, syscall.SIGKILL)))
	}
}
