//go:build systemd

package systemd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/eventually"
)

// laptop is a separate Debian with a systemd that booted, in a container that shares the network
// namespace of the host.
type laptop struct {
	t    *testing.T
	boot *exec.Cmd
	// root is the path of its file system; console is the output of its boots.
	root    string
	console bytes.Buffer
	// userPrefix is the command prefix that runs a command as the user under test.
	userPrefix []string
}

// boot copies the root file system and boots it.
func boot(t *testing.T) *laptop {
	t.Helper()
	root, agent := os.Getenv("MOORING_SYSTEMD_ROOT"), os.Getenv("MOORING_SYSTEMD_AGENT")
	if root == "" || agent == "" {
		t.Fatal("run this by: make test-systemd")
	}
	copied := filepath.Join(t.TempDir(), "root")
	for _, argv := range [][]string{
		{"cp", "-a", "--reflink=auto", root, copied},
		{"cp", agent, filepath.Join(copied, "usr/local/bin/mooring-agent")},
		{"truncate", "-s", "0", filepath.Join(copied, "etc/machine-id")},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	l := &laptop{t: t, root: copied}
	l.start()
	t.Cleanup(func() {
		if t.Failed() {
			_, log := l.runInside("journalctl", "--no-pager", "--lines=60")
			t.Logf("the journal:\n%s", log)
		}
		if pid := l.leader(); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = l.boot.Wait()
		if t.Failed() {
			t.Logf("the console:\n%s", l.console.String())
		}
	})
	l.awaitUp()
	return l
}

// start starts the container.
func (l *laptop) start() {
	l.t.Helper()
	l.boot = exec.Command("systemd-nspawn", "--directory="+l.root, "--machine=m"+strconv.Itoa(os.Getpid()), "--register=no", "--keep-unit", "--boot")
	l.boot.Stdout, l.boot.Stderr = &l.console, &l.console
	if err := l.boot.Start(); err != nil {
		l.t.Fatal(err)
	}
}

// leader returns the container's process 1; 0 while there is none.
func (l *laptop) leader() int {
	pid := strconv.Itoa(l.boot.Process.Pid)
	children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return 0
	}
	for _, child := range strings.Fields(string(children)) {
		if name, err := os.ReadFile("/proc/" + child + "/comm"); err == nil && strings.TrimSpace(string(name)) == "systemd" {
			id, _ := strconv.Atoi(child)
			return id
		}
	}
	return 0
}

// runInside runs a command in the container, as root.
func (l *laptop) runInside(argv ...string) (int, string) {
	leader := l.leader()
	if leader == 0 {
		return -1, "the container is not there"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	enter := []string{"--target", strconv.Itoa(leader), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd=/",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	out, err := exec.CommandContext(ctx, "nsenter", append(enter, argv...)...).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), string(out)
	}
	if err != nil {
		return -1, err.Error()
	}
	return 0, string(out)
}

// awaitUp waits until the system is running.
func (l *laptop) awaitUp() {
	l.t.Helper()
	l.await("the system is up", func() bool {
		_, out := l.runInside("systemctl", "is-system-running")
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded")
	})
}

func (l *laptop) await(condition string, done func() bool) {
	l.t.Helper()
	eventually.Within(2*time.Minute).True(l.t, condition, func() bool {
		if done() {
			return true
		}
		if stat, err := os.ReadFile("/proc/" + strconv.Itoa(l.boot.Process.Pid) + "/stat"); err != nil || strings.Contains(string(stat), ") Z ") {
			l.t.Fatalf("waiting until %s: the container ended, see its console (too many open files: raise fs.inotify.max_user_instances)", condition)
		}
		return false
	})
}

// reboot reboots the system and waits until it is running.
func (l *laptop) reboot() {
	l.t.Helper()
	l.restartMachine()
	l.awaitUp()
}

// restartMachine reboots the system: with --keep-unit, nspawn leaves the second start to its
// caller.
func (l *laptop) restartMachine() {
	l.t.Helper()
	l.runInside("systemctl", "reboot")
	_ = l.boot.Wait() // its exit status reports the reboot
	l.start()
}

// agent runs the agent's command line as the user under test.
func (l *laptop) agent(args ...string) (int, string) {
	return l.runInside(append(append([]string{}, l.userPrefix...), append([]string{"mooring-agent"}, args...)...)...)
}

func (l *laptop) checkAgent(code int, text string, args ...string) {
	l.t.Helper()
	if got, out := l.agent(args...); got != code || !strings.Contains(out, text) {
		l.t.Fatalf("mooring-agent %s: exit %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, text, out)
	}
}
