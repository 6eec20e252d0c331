package supervise

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shell runs a script as a component.
func shell(t *testing.T, script string) *runner {
	t.Helper()
	spawner := newSpawner()
	dir := t.TempDir()
	r := newRunner(Spec{
		Name: "test", Path: "/bin/sh", Args: []string{"-c", script},
		Log: filepath.Join(dir, "test.log"), State: dir, Grace: 300 * time.Millisecond,
	}, spawner, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		_ = r.stop(syscall.SIGKILL)
		r.close()
		spawner.close()
	})
	return r
}

// eventually polls until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestAComponentThatIsKilledIsStartedAgain(t *testing.T) {
	r := shell(t, "exec sleep 1000")
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	first := r.snapshot().pid
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another process", func() bool { now := r.snapshot().pid; return now != 0 && now != first })
	if now := r.snapshot(); now.restarts != 1 || !strings.Contains(now.lastExit, "killed") {
		t.Errorf("restarts %d, last exit %q", now.restarts, now.lastExit)
	}
}

func TestAStoppedComponentStaysStoppedUntilItIsStarted(t *testing.T) {
	r := shell(t, "exec sleep 1000")
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	first := r.snapshot().pid
	if err := r.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if alive(first) {
		t.Error("stop returned before the process was gone")
	}
	if now := r.snapshot(); now.pid != 0 || now.restarts != 0 || now.describe() != "stopped" {
		t.Errorf("after stop: %+v", now)
	}
	if err := r.start(); err != nil || r.snapshot().pid == 0 {
		t.Errorf("start again: %v", err)
	}
}

func TestStartingTwiceKeepsTheProcess(t *testing.T) {
	r := shell(t, "exec sleep 1000")
	for range 2 {
		if err := r.start(); err != nil {
			t.Fatal(err)
		}
	}
	first := r.snapshot().pid
	if err := r.start(); err != nil || r.snapshot().pid != first {
		t.Errorf("process %d became %d, %v", first, r.snapshot().pid, err)
	}
}

func TestAComponentThatIgnoresTheSignalIsKilled(t *testing.T) {
	r := shell(t, "trap '' TERM; echo trapped; while :; do sleep 0.05; done")
	if err := r.start(); err != nil {
		t.Fatal(err)
	}
	pid := r.snapshot().pid
	eventually(t, "the trap is set", func() bool {
		data, err := os.ReadFile(r.spec.Log)
		return err == nil && strings.Contains(string(data), "trapped")
	})
	if err := r.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("it is still there")
	}
}

func TestAProgramThatIsMissingIsAnError(t *testing.T) {
	r := shell(t, "")
	r.spec.Path = "/absent/etcd"
	if err := r.start(); err == nil || !strings.Contains(err.Error(), "/absent/etcd") {
		t.Errorf("got %v", err)
	}
}

func TestBackoffDoublesUpToItsBound(t *testing.T) {
	want := []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		1600 * time.Millisecond, 3200 * time.Millisecond, 5 * time.Second, 5 * time.Second}
	for crashes, rest := range want {
		if got := backoff(crashes); got != rest {
			t.Errorf("after %d crashes %s, want %s", crashes, got, rest)
		}
	}
}
