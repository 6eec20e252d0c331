package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/components"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/state"
)

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// All subtests use one cluster, in this order: starting a cluster takes most of the time.
func TestLifecycle(t *testing.T) {
	c := newCluster(t)
	admin := filepath.Join(c.state, "admin.kubeconfig")

	var line ready
	if err := json.Unmarshal([]byte(c.run("up", "--audit", "--output=json")), &line); err != nil {
		t.Fatalf("the line of --output json: %v", err)
	}
	first := c.status()
	if want := (ready{admin, c.state, first.Server, filepath.Join(c.state, "logs", "audit.log")}); line != want || !first.Ready {
		t.Fatalf("got %+v, want %+v; ready %t", line, want, first.Ready)
	}
	if out, err := c.kubectl(admin, "create", "namespace", "kept"); err != nil {
		t.Fatal(out)
	}

	t.Run("up again changes nothing", func(t *testing.T) {
		c := c.inSubtest(t)
		if out := c.run("up"); !strings.Contains(out, "already running") {
			t.Error(out)
		}
		if now := c.status(); now.PID != first.PID || now.Component(components.Etcd).PID != first.Component(components.Etcd).PID {
			t.Errorf("supervisor %d became %d", first.PID, now.PID)
		}
		if out, err := c.try("up", "--fsync"); err == nil || !strings.Contains(out, "--fsync") {
			t.Errorf("another option was ignored: %v %s", err, out)
		}
		if out, err := c.try("up", "--foreground"); err == nil || !strings.Contains(out, "already running") {
			t.Errorf("two supervisors: %v %s", err, out)
		}
	})

	t.Run("users and ServiceAccounts have the right identity", func(t *testing.T) { testCredentials(t, c.inSubtest(t)) })

	t.Run("a stopped apiserver stays down until it is started", func(t *testing.T) {
		c := c.inSubtest(t)
		c.run("stop", components.APIServer)
		if out, err := c.kubectl(admin, "get", "namespace", "kept"); err == nil {
			t.Errorf("it still answers: %s", out)
		}
		if now := c.status(); now.Ready || now.Component(components.APIServer).State != "stopped" {
			t.Errorf("status %+v", now.Component(components.APIServer))
		}
		c.run("start", components.APIServer)
		if out, err := c.kubectl(admin, "get", "namespace", "kept"); err != nil {
			t.Error(out)
		}
	})

	t.Run("killed components come back with their data", func(t *testing.T) {
		c := c.inSubtest(t)
		before := c.status()
		for _, name := range components.Names() {
			kill(t, before.Component(name).PID)
		}
		c.eventually("all is ready again", func() bool { return c.status().Ready })
		for _, component := range c.status().Components {
			if component.Restarts == 0 || component.PID == before.Component(component.Name).PID {
				t.Errorf("%+v was not started again", component)
			}
		}
		if out, err := c.kubectl(admin, "get", "namespace", "kept"); err != nil {
			t.Error(out)
		}
	})

	t.Run("nothing outlives a killed supervisor, and up repairs it", func(t *testing.T) {
		c := c.inSubtest(t)
		kill(t, c.status().PID)
		c.wantNoProcesses()
		if out, err := c.try("status"); err == nil || !strings.Contains(out, "localcluster up") {
			t.Errorf("status of a cluster that does not run: %v %s", err, out)
		}
		c.run("up")
		now := c.status()
		if !now.Ready || now.Server != first.Server {
			t.Errorf("ready %t at %s, was at %s", now.Ready, now.Server, first.Server)
		}
		if out, err := c.kubectl(admin, "get", "namespace", "kept"); err != nil {
			t.Error(out)
		}
	})

	t.Run("down leaves no process, twice is harmless, and a taken port moves", func(t *testing.T) {
		c := c.inSubtest(t)
		c.run("down")
		c.wantNoProcesses()
		c.run("down")
		testTakenPort(t, c)
	})

	t.Run("purge deletes everything", func(t *testing.T) {
		c := c.inSubtest(t)
		c.run("down", "--purge")
		c.wantNoProcesses()
		if _, err := os.Stat(c.state); !os.IsNotExist(err) {
			t.Errorf("still there: %v", err)
		}
	})
}

// inSubtest returns the same cluster for a subtest.
func (c *cluster) inSubtest(t *testing.T) *cluster {
	return &cluster{t: t, state: c.state, root: c.root}
}

func testTakenPort(t *testing.T, c *cluster) {
	config, err := state.Dir(c.state).LoadConfig()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort(state.Loopback, strconv.Itoa(config.Ports.APIServer))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	// Three commands run at once: one starts the cluster, the others find it running.
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			if out, err := c.try("up"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	group.Wait()
	now := c.status()
	if !now.Ready || strings.HasSuffix(now.Server, address) {
		t.Errorf("ready %t at %s", now.Ready, now.Server)
	}
	if log := c.run("logs", "supervisor"); !strings.Contains(log, "kube-apiserver from "+strconv.Itoa(config.Ports.APIServer)) {
		t.Errorf("the move is not explained:\n%s", log)
	}
}
