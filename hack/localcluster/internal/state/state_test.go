package state

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(t *testing.T) Dir {
	t.Helper()
	dir, err := Open(filepath.Join(t.TempDir(), "cluster"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestTheStateDirectoryIsClosedToOthersEvenIfItWasThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v, want 700", info.Mode(), err)
	}
}

func TestConfigComesBackAsItWasSaved(t *testing.T) {
	dir := open(t)
	if config, err := dir.LoadConfig(); err != nil || config != (Config{}) {
		t.Errorf("before the first start: %+v, %v", config, err)
	}
	want := Config{Address: "127.0.0.1", Ports: Ports{1, 2, 3, 4, 5}, Fsync: true}
	if err := dir.SaveConfig(want); err != nil {
		t.Fatal(err)
	}
	got, err := dir.LoadConfig()
	if err != nil || got != want {
		t.Error(cmp.Diff(want, got), err)
	}
	if err := os.WriteFile(dir.ConfigFile(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.LoadConfig(); err == nil {
		t.Error("half a file was read without complaint")
	}
}

func TestPurgeTakesAClusterAndNothingElse(t *testing.T) {
	dir := open(t)
	keep := Dir(t.TempDir())
	if err := os.WriteFile(filepath.Join(string(keep), "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := keep.Purge(); err == nil {
		t.Error("a folder without cluster.json was purged")
	}
	if err := dir.SaveConfig(Config{}); err != nil {
		t.Fatal(err)
	}
	if err := dir.Purge(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(string(dir)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if err := dir.Purge(); err != nil {
		t.Errorf("purging nothing: %v", err)
	}
}

// counter returns a function that draws 0, 1, 2, ….
func counter() func(int) int {
	next := -1
	return func(n int) int { next++; return next % n }
}

func TestPortsAreDistinctFreeAndKept(t *testing.T) {
	config := Config{Address: Loopback}
	if moved, err := AssignPorts(&config, RandomInt); err != nil || len(moved) > 0 {
		t.Fatalf("moved %v, error %v", moved, err)
	}
	seen := map[int]bool{}
	for _, port := range []int{config.Ports.EtcdClient, config.Ports.EtcdPeer, config.Ports.APIServer,
		config.Ports.ControllerManager, config.Ports.CertManager} {
		if seen[port] || port < firstPort || port > lastPort {
			t.Errorf("port %d is doubled or out of range", port)
		}
		seen[port] = true
	}
	before := config
	if moved, err := AssignPorts(&config, counter()); err != nil || len(moved) > 0 || config != before {
		t.Errorf("free ports changed: %v, %v, %s", moved, err, cmp.Diff(before, config))
	}
}

// A killed component closes its sockets a moment after its process has disappeared.
func TestAPortThatIsBeingClosedIsKept(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Address: Loopback, Ports: Ports{APIServer: listener.Addr().(*net.TCPAddr).Port}}
	time.AfterFunc(100*time.Millisecond, func() { _ = listener.Close() })
	if moved, err := AssignPorts(&config, RandomInt); err != nil || len(moved) > 0 {
		t.Errorf("moved %v, error %v", moved, err)
	}
}

func TestATakenPortMovesAndIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	taken := listener.Addr().(*net.TCPAddr).Port
	config := Config{Address: Loopback, Ports: Ports{APIServer: taken}}
	moved, err := AssignPorts(&config, RandomInt)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"kube-apiserver from " + strconv.Itoa(taken) + " to " + strconv.Itoa(config.Ports.APIServer)}
	if diff := cmp.Diff(want, moved); diff != "" {
		t.Error(diff)
	}
}

func TestAnAddressOfAnotherMachineIsAnError(t *testing.T) {
	config := Config{Address: "192.0.2.1"} // TEST-NET-1, RFC 5737
	if _, err := AssignPorts(&config, counter()); err == nil {
		t.Error("ports were found on an address that this machine does not have")
	}
}

func TestALockIsHeldByOneAndFreedForTheNext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if Holder(path) != os.Getpid() {
		t.Errorf("holder %d, want %d", Holder(path), os.Getpid())
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second taker got %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := WaitLock(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiter got %v", err)
	}
	first.Release()
	if second, err := TryLock(path); err != nil {
		t.Error(err)
	} else {
		second.Release()
	}
}
