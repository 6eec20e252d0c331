//go:build unix

package mediation

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/ownfile"
)

// startServer starts a server with one open question. decided receives the result of Decide.
func startServer(t *testing.T) (dir string, decided chan error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "run")
	d := newQueue(t, "")
	s, err := Listen(dir, d, d.Log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Serve(ctx) })
	decided = make(chan error, 1)
	running.Go(func() { decided <- d.Decide(ctx, newQuestion("u"), &memoryStore{}) })
	t.Cleanup(func() { cancel(); running.Wait() })
	for {
		open, changed := d.Questions()
		if len(open) == 1 {
			return dir, decided
		}
		<-changed
	}
}

func TestAnswersOverTheSocket(t *testing.T) {
	dir, decided := startServer(t)
	c := Client{SocketPath(dir)}
	watching, stop := context.WithCancel(t.Context())
	seen := make(chan int, 8)
	watched := make(chan error, 1)
	go func() { watched <- c.Watch(watching, func(q []Question) { seen <- len(q) }) }()
	if n := <-seen; n != 1 {
		t.Errorf("watch shows %d", n)
	}
	open, err := c.List(t.Context())
	if err != nil || len(open) != 1 || open[0].Target != "https://example.com/" {
		t.Errorf("%v, %v", open, err)
	}
	if q, err := c.Answer(t.Context(), "d-u", true); err != nil || q.UID != "u" {
		t.Errorf("%v, %v", q, err)
	}
	if err := <-decided; err != nil {
		t.Error(err)
	}
	if n := <-seen; n != 0 {
		t.Errorf("watch shows %d after the answer", n)
	}
	stop()
	if err := <-watched; err != nil {
		t.Error(err)
	}
	if _, err := c.Answer(t.Context(), "d-u", true); err == nil || !strings.Contains(err.Error(), "no such question") {
		t.Errorf("a second answer: %v", err)
	}
	if _, err := (Client{dir + "/none"}).List(t.Context()); !errors.Is(err, ErrNoAgent) {
		t.Errorf("no agent: %v", err)
	}
}

// TestAnotherUserIsRefused opens the socket's mode to all users on purpose. The peer credentials of
// the kernel must still keep another user out.
func TestAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to act as another user")
	}
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip("needs python3, as a client that can change its user")
	}
	dir, decided := startServer(t)
	for path := filepath.Dir(SocketPath(dir)); path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(SocketPath(dir), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-c", `import socket,sys
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
try: s.sendall(b'{"op":"allow","name":"u"}\n')
except BrokenPipeError: pass
print(s.makefile().readline())`, SocketPath(dir))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "only the user of the agent") {
		t.Errorf("another user got %s, %v", out, err)
	}
	select {
	case err := <-decided:
		t.Errorf("another user decided: %v", err)
	default:
	}
}

func TestASocketOthersCanReachIsNotUsed(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"folder": func(dir string) error { return os.Chmod(dir, 0o755) },
		"socket": func(dir string) error { return os.Chmod(SocketPath(dir), 0o644) },
	} {
		dir := filepath.Join(t.TempDir(), "run")
		d := newQueue(t, "")
		s, err := Listen(dir, d, d.Log)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(SocketPath(dir)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket has mode %v, %v", info.Mode(), err)
		}
		s.socket.Abandon() // leaves the socket in place, as a crash does
		if again, err := Listen(dir, d, d.Log); err != nil {
			t.Errorf("after a crash: %v", err)
		} else {
			again.socket.Abandon()
		}
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(dir, d, d.Log); !errors.Is(err, ownfile.ErrUnsafe) || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
