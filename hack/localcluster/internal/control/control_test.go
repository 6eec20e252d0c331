package control

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorder is a supervisor that records its commands.
type recorder struct {
	commands []string
	fail     error
}

func (r *recorder) Status(context.Context) Status {
	return Status{State: "/s", Phase: "running", Ready: true, Components: []Component{{Name: "etcd", PID: 7}}}
}

func (r *recorder) Start(_ context.Context, name string) error {
	r.commands = append(r.commands, "start "+name)
	return r.fail
}

func (r *recorder) Stop(_ context.Context, name string, kill bool) error {
	verb := "stop "
	if kill {
		verb = "kill "
	}
	r.commands = append(r.commands, verb+name)
	return r.fail
}

func (r *recorder) Shutdown() { r.commands = append(r.commands, "shutdown") }

// serve starts a server in a directory whose path is too long for a socket address.
func serve(t *testing.T, supervisor Supervisor) (*Client, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, socketName), nil, 0o600); err != nil { // a stale socket file
		t.Fatal(err)
	}
	listener, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, listener, supervisor) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return NewClient(dir), dir
}

func TestCommandsReachTheSupervisor(t *testing.T) {
	supervisor := &recorder{}
	client, dir := serve(t, supervisor)
	ctx := t.Context()
	status, err := client.Status(ctx)
	if err != nil || !status.Ready || status.Component("etcd").PID != 7 {
		t.Errorf("status %+v, %v", status, err)
	}
	err = errors.Join(client.Stop(ctx, "etcd", false), client.Stop(ctx, "etcd", true), client.Start(ctx, "etcd"), client.Shutdown(ctx))
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"stop etcd", "kill etcd", "start etcd", "shutdown"}, supervisor.commands); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, %v: others could stop the cluster", info.Mode(), err)
	}
}

func TestARefusalComesBackInItsOwnWords(t *testing.T) {
	client, _ := serve(t, &recorder{fail: errors.New("the cluster is stopping")})
	if err := client.Start(t.Context(), "etcd"); err == nil || err.Error() != "the cluster is stopping" {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThereIsNotRunning(t *testing.T) {
	dir := t.TempDir()
	for _, at := range []string{dir, filepath.Join(dir, "absent")} {
		if _, err := NewClient(at).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: %v", at, err)
		}
	}
}
