//go:build linux

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/mooring-dev/mooring/nodeagent/service"
	"github.com/mooring-dev/mooring/test/fakegateway"
	"github.com/mooring-dev/mooring/test/spawner"
)

// The test binary is also the agent. With this variable it runs the real command line, with a
// service manager that keeps its files in that folder.
const servicesDir = "CLI_TEST_SERVICES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(servicesDir); dir != "" {
		build := Build{Services: func() (service.Manager, error) {
			switch dir {
			case "none":
				return nil, service.ErrNoManager
			case "system":
				return service.NewManager()
			}
			return spawner.Manager{Dir: dir}, nil
		}}
		os.Exit(Main(build, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	// A command line without a laptop of its own must not read the files of the machine that runs
	// the test.
	home, err := os.MkdirTemp("", "mooring-agent-cli-")
	if err != nil {
		panic(err)
	}
	for variable, place := range map[string]string{"HOME": home, "MOORING_CONFIG": filepath.Join(home, "config.yaml"), "MOORING_IDENTITY_DIR": filepath.Join(home, "identity")} {
		if err := os.Setenv(variable, place); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(home)
		os.Exit(code)
	}))
}

// laptop is a machine with a home directory of its own.
type laptop struct {
	t        *testing.T
	home     string
	services spawner.Manager
	gateway  *fakegateway.Gateway
	// program is the program that is run. user is the user who runs it; nil means the user who runs
	// the test.
	program string
	user    *syscall.Credential
	env     []string
}

func newLaptop(t *testing.T) *laptop {
	t.Helper()
	home := t.TempDir()
	l := &laptop{t: t, home: home, program: os.Args[0], services: spawner.Manager{Dir: filepath.Join(home, "services")}, gateway: fakegateway.Start(t)}
	if err := os.Mkdir(l.services.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l.env = []string{"HOME=" + home, "MOORING_CONFIG=" + l.config(), "MOORING_IDENTITY_DIR=" + l.dir(),
		"MOORING_NAME=box", "GORACE=atexit_sleep_ms=0", servicesDir + "=" + l.services.Dir}
	t.Cleanup(func() {
		if err := l.services.Stop(); err != nil {
			t.Error(err)
		}
		if log, err := os.ReadFile(filepath.Join(l.services.Dir, "log")); err == nil && t.Failed() {
			t.Logf("output of the service:\n%s", log)
		}
	})
	return l
}

func (l *laptop) config() string { return filepath.Join(l.home, "etc", "config.yaml") }
func (l *laptop) dir() string    { return filepath.Join(l.home, "id") }

// command returns a command line that has not started, and the buffer of its output.
func (l *laptop) command(args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.CommandContext(l.t.Context(), l.program, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &out, l.env
	if l.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: l.user}
	}
	return cmd, &out
}

// run runs the command line and returns its exit code and its output.
func (l *laptop) run(args ...string) (int, string) {
	l.t.Helper()
	cmd, out := l.command(args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// expect runs the command line and checks its exit code and its output.
func (l *laptop) expect(code int, want string, args ...string) {
	l.t.Helper()
	if got, out := l.run(args...); got != code || !strings.Contains(out, want) {
		l.t.Errorf("%s: exit %d, want %d and %q:\n%s", strings.Join(args, " "), got, code, want, out)
	}
}

func (l *laptop) install(more ...string) {
	l.t.Helper()
	args := append([]string{"install", "--pairing", l.gateway.PairingEndpoint, "--code", fakegateway.Code.String()}, more...)
	l.expect(0, "Installed: ", args...)
}

// unsetEnv removes a variable from the environment.
func (l *laptop) unsetEnv(name string) {
	l.env = slices.DeleteFunc(l.env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
}

// writeConfig replaces the configuration file.
func (l *laptop) writeConfig(content string) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(l.config()), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(l.config(), []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// runAsNobody runs the following commands as another user, who can reach every file without
// protection. It needs root.
func (l *laptop) runAsNobody() {
	l.t.Helper()
	if os.Geteuid() != 0 {
		l.t.Skip("needs root, to run as another user")
	}
	for path := l.home; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	program := filepath.Join(l.home, "mooring-agent")
	if out, err := exec.Command("cp", l.program, program).CombinedOutput(); err != nil {
		l.t.Fatalf("%v: %s", err, out)
	}
	l.program, l.user = program, &syscall.Credential{Uid: 65534, Gid: 65534}
}

// awaitExit waits until a process has ended. It polls a pidfd, so it needs no busy loop.
func (l *laptop) awaitExit(pid int) {
	l.t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		l.t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil || n == 0:
			l.t.Fatalf("process %d does not end: %v", pid, err)
		default:
			return
		}
	}
}

// closedAddress returns an address that refuses connections: a socket is bound to it and does not
// listen, so no other process can listen there.
func closedAddress(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// setUnreachableGateway sets the gateway of a paired machine to a closed address.
func (l *laptop) setUnreachableGateway() {
	l.t.Helper()
	address := closedAddress(l.t)
	where := `{"nodeEndpoint": "` + address + `", "pairingEndpoint": "` + address + `"}`
	if err := os.WriteFile(filepath.Join(l.dir(), "config.json"), []byte(where), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// watchedBuffer is a writer that closes seen once word was written to it. It is for one writer.
type watchedBuffer struct {
	to   *bytes.Buffer
	word string
	seen chan struct{}
	done bool
}

func (w *watchedBuffer) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if !w.done && strings.Contains(w.to.String(), w.word) {
		w.done = true
		close(w.seen)
	}
	return n, err
}
