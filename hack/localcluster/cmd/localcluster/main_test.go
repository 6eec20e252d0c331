package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/hack/localcluster/internal/build"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/control"
	"github.com/mooring-dev/mooring/hack/localcluster/internal/supervise"
)

// beProgram makes the test binary behave as localcluster: tests start themselves, and the
// supervisor that they start in the background inherits the variable.
const beProgram = "LOCALCLUSTER_TEST_BE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// cluster is the cluster of one test, controlled through the program's commands.
type cluster struct {
	t     *testing.T
	state string
	root  string
}

// newCluster skips the test without the built control plane: a test must not start a build of ten
// minutes. `localcluster build` and `make test` build it first.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	current, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := build.FindRoot(current)
	if err != nil {
		t.Fatal(err)
	}
	builder := build.Builder{Root: root}
	if _, err := (build.Programs{Built: builder.Folder(build.ControlPlane)}).Path("etcd"); err != nil {
		t.Skipf("%v", err)
	}
	c := &cluster{t: t, root: root, state: filepath.Join(t.TempDir(), "state")}
	t.Cleanup(func() {
		if out, err := c.try("down"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
		c.wantNoProcesses()
		if t.Failed() {
			for _, name := range []string{"supervisor", "kube-apiserver", "etcd", "cert-manager"} {
				data, _ := os.ReadFile(filepath.Join(c.state, "logs", name+".log"))
				t.Logf("end of %s.log:\n%s", name, data[max(0, len(data)-2000):])
			}
		}
	})
	return c
}

func (c *cluster) command(args ...string) *exec.Cmd {
	command := exec.Command(os.Args[0], append(args, "--root="+c.root, "--state="+c.state)...)
	command.Env = append(os.Environ(), beProgram+"=1",
		"KUBECONFIG=/absent", // never read
		build.AssetsVariable+"=")
	return command
}

// try returns standard output and standard error together.
func (c *cluster) try(args ...string) (string, error) {
	out, err := c.command(args...).CombinedOutput()
	return string(out), err
}

// run returns standard output and fails the test on an error.
func (c *cluster) run(args ...string) string {
	c.t.Helper()
	var stderr bytes.Buffer
	command := c.command(args...)
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		c.t.Fatalf("localcluster %q: %v\n%s%s", args, err, out, stderr.Bytes())
	}
	return string(out)
}

func (c *cluster) status() control.Status {
	c.t.Helper()
	out, _ := c.command("status", "-o", "json").Output() // exit code 3 is an answer too
	var status control.Status
	if err := json.Unmarshal(out, &status); err != nil {
		c.t.Fatalf("status: %v\n%s", err, out)
	}
	return status
}

// kubectl runs kubectl with a kubeconfig made by the kubeconfig command.
func (c *cluster) kubectl(kubeconfig string, args ...string) (string, error) {
	c.t.Helper()
	path := filepath.Join(build.Builder{Root: c.root}.Folder(build.ControlPlane), "kubectl")
	command := exec.Command(path, append(args, "--kubeconfig="+kubeconfig)...)
	command.Env = append(os.Environ(), "HOME="+c.t.TempDir()) // no cache of another cluster
	out, err := command.CombinedOutput()
	return string(out), err
}

// eventually polls until condition holds.
func (c *cluster) eventually(event string, condition func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			c.t.Fatalf("never happened: %s", event)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// wantNoProcesses waits a moment until the kernel has ended the children of a killed supervisor.
func (c *cluster) wantNoProcesses() {
	c.t.Helper()
	c.eventually("every process of the cluster is gone", func() bool {
		pids, err := supervise.Orphans(c.state)
		return err == nil && len(pids) == 0
	})
}
