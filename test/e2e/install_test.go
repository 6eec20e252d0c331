//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/poll"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// overlay is a path relative to the directory of these tests.
const overlay = "testdata/install"

// install is an installation of Mooring on the worker, for one test. Its machines are in one fleet.
type install struct {
	*testfleet.Fleet
}

func newInstall(t *testing.T, fleet string) *install {
	t.Helper()
	root, err := controlplane.Root()
	if err != nil {
		t.Fatal(err)
	}
	// Machines of one installation must not find the identities of another.
	dir, err := os.MkdirTemp(sharedWorker.logs, fleet+"-")
	if err != nil {
		t.Fatal(err)
	}
	system := &stack.Stack{
		Options: stack.Options{Root: root, Dir: dir, AgentBinary: "mooring-agent"},
		Cluster: sharedWorker.cluster, Client: sharedWorker.cluster.Client(),
	}
	return &install{&testfleet.Fleet{T: t, System: system, Namespace: fleet}}
}

// inSubtest returns the same installation for a subtest. When the subtest fails, the state of the cluster
// is printed.
func (in *install) inSubtest(t *testing.T) *install {
	sub := &install{in.Fleet.InSubtest(t)}
	t.Cleanup(sub.logState)
	return sub
}

// logState prints pods, warnings and the ends of the logs of a failed test.
func (in *install) logState() {
	if !in.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.Context()), testfleet.WaitTimeout)
	defer cancel()
	for _, args := range []string{"get pods -A -o wide", "get events -A --field-selector type=Warning", "get mnode,preq -A"} {
		out, _ := in.System.Run(ctx, stack.Admin, append([]string{"kubectl"}, strings.Fields(args)...)...)
		in.Logf("kubectl %s\n%s", args, out)
	}
	logs, _ := filepath.Glob(filepath.Join(sharedWorker.logs, "pods", "*", "*", "*.log"))
	machines, _ := filepath.Glob(filepath.Join(in.System.Dir, "*.log"))
	for _, path := range append(logs, machines...) {
		text, _ := os.ReadFile(path)
		in.Logf("end of %s\n%s", path, text[max(0, len(text)-2000):])
	}
}

// kubectl runs kubectl as an administrator and fails the test when it fails.
func (in *install) kubectl(args ...string) string {
	in.Helper()
	out, err := in.System.Run(in.longContext(), stack.Admin, append([]string{"kubectl"}, args...)...)
	if err != nil {
		in.Fatal(err)
	}
	return out
}

func (in *install) tryKubectl(args ...string) error {
	_, err := in.System.Run(in.longContext(), stack.Admin, append([]string{"kubectl"}, args...)...)
	return err
}

// longContext bounds operations that restart pods one after the other.
func (in *install) longContext() context.Context {
	ctx, cancel := context.WithTimeout(in.Context(), 2*testfleet.WaitTimeout)
	in.Cleanup(cancel)
	return ctx
}

func (in *install) eventually(condition string, ok func() bool, last ...func() any) {
	in.Helper()
	if err := poll.UntilTrue(in.longContext(), ok); err != nil {
		for _, say := range last {
			in.Logf("last: %v", say())
		}
		in.Fatalf("wait for %s: %v", condition, err)
	}
}

// transient lists the kinds whose objects the cluster creates and removes by itself.
var transient = []string{"events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io", "endpoints"}

// objects returns all objects of the cluster as KIND NAMESPACE/NAME.
func (in *install) objects() []string {
	in.Helper()
	kinds := slices.DeleteFunc(strings.Fields(in.kubectl("api-resources", "--verbs=list", "-o", "name")), func(kind string) bool {
		return slices.Contains(transient, kind)
	})
	var all []string
	for _, kind := range kinds {
		out, err := in.System.Run(in.longContext(), stack.Admin, "kubectl", "get", kind, "-A", "--ignore-not-found",
			"-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}`)
		if err != nil {
			continue // the kind was removed while the list was made
		}
		for _, name := range strings.Fields(out) {
			all = append(all, kind+" "+name)
		}
	}
	slices.Sort(all)
	return all
}

// netns creates a network namespace with a cable to the Node: it can reach only addresses of the
// Node.
func (in *install) netns(name, address string) {
	in.Helper()
	outer := name + "0"
	for _, command := range []string{
		"ip netns add " + name,
		"ip link add " + outer + " type veth peer name eth0 netns " + name,
		"ip link set " + outer + " master node0 up",
		"ip -n " + name + " link set lo up",
		"ip -n " + name + " address add " + address + "/24 dev eth0",
		"ip -n " + name + " link set eth0 up",
	} {
		argv := strings.Fields(command)
		if out, err := exec.CommandContext(in.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
			in.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	in.Cleanup(func() {
		_ = exec.CommandContext(context.WithoutCancel(in.Context()), "ip", "netns", "delete", name).Run()
	})
}

// goldenPath returns the path of a golden file of the integration tests.
func (in *install) goldenPath(path ...string) string {
	return filepath.Join(append([]string{in.System.Root, "test", "integration"}, path...)...)
}

// countPods counts the pods of the system with a label.
func (in *install) countPods(label string) int {
	return len(strings.Fields(in.kubectl("-n", "mooring-system", "get", "pods", "-l", label, "-o", "name")))
}
