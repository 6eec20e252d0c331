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

	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/stack"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

// overlay is a path from the directory of these tests.
const overlay = "testdata/install"

// install is Mooring on the worker, seen by one test. Machines are in one fleet.
type install struct {
	*testfleet.Fleet
}

func newInstall(t *testing.T, fleet string) *install {
	t.Helper()
	root, err := cluster.Root()
	if err != nil {
		t.Fatal(err)
	}
	// Machines of one install must not find identities that those of another left.
	dir, err := os.MkdirTemp(machine.logs, fleet+"-")
	if err != nil {
		t.Fatal(err)
	}
	system := &stack.Stack{
		Options: stack.Options{Root: root, Dir: dir, AgentBinary: "mooring-agent"},
		Cluster: machine.cluster, Client: machine.cluster.Client(),
	}
	return &install{&testfleet.Fleet{T: t, System: system, Namespace: fleet}}
}

// on is the same install in a subtest; when that fails, what the cluster says is shown.
func (in *install) on(t *testing.T) *install {
	on := &install{in.Fleet.On(t)}
	t.Cleanup(on.explain)
	return on
}

// explain shows pods, warnings and the ends of the logs of a failed test.
func (in *install) explain() {
	if !in.Failed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.Context()), testfleet.Patience)
	defer cancel()
	for _, args := range []string{"get pods -A -o wide", "get events -A --field-selector type=Warning", "get mnode,preq -A"} {
		out, _ := in.System.Run(ctx, stack.Admin, append([]string{"kubectl"}, strings.Fields(args)...)...)
		in.Logf("kubectl %s\n%s", args, out)
	}
	logs, _ := filepath.Glob(filepath.Join(machine.logs, "pods", "*", "*", "*.log"))
	machines, _ := filepath.Glob(filepath.Join(in.System.Dir, "*.log"))
	for _, path := range append(logs, machines...) {
		text, _ := os.ReadFile(path)
		in.Logf("end of %s\n%s", path, text[max(0, len(text)-2000):])
	}
}

// kubectl does what an administrator does.
func (in *install) kubectl(args ...string) string {
	in.Helper()
	out, err := in.System.Run(in.long(), stack.Admin, append([]string{"kubectl"}, args...)...)
	if err != nil {
		in.Fatal(err)
	}
	return out
}

func (in *install) try(args ...string) error {
	_, err := in.System.Run(in.long(), stack.Admin, append([]string{"kubectl"}, args...)...)
	return err
}

// long bounds what restarts pods one after the other.
func (in *install) long() context.Context {
	ctx, cancel := context.WithTimeout(in.Context(), 2*testfleet.Patience)
	in.Cleanup(cancel)
	return ctx
}

func (in *install) eventually(what string, ok func() bool, last ...func() any) {
	in.Helper()
	if err := stack.Poll(in.long(), ok); err != nil {
		for _, say := range last {
			in.Logf("last: %v", say())
		}
		in.Fatalf("wait for %s: %v", what, err)
	}
}

// transient are kinds of objects that the cluster makes and removes by itself.
var transient = []string{"events", "events.events.k8s.io", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io", "endpoints"}

// objects lists everything there is in the cluster, one KIND NAMESPACE/NAME a line.
func (in *install) objects() []string {
	in.Helper()
	kinds := slices.DeleteFunc(strings.Fields(in.kubectl("api-resources", "--verbs=list", "-o", "name")), func(kind string) bool {
		return slices.Contains(transient, kind)
	})
	var all []string
	for _, kind := range kinds {
		out, err := in.System.Run(in.long(), stack.Admin, "kubectl", "get", kind, "-A", "--ignore-not-found",
			"-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}{"\n"}{end}`)
		if err != nil {
			continue // a kind that went while the list was made
		}
		for _, name := range strings.Fields(out) {
			all = append(all, kind+" "+name)
		}
	}
	slices.Sort(all)
	return all
}

// netns makes a network beside the cluster's, with a cable to the Node: nothing but addresses of
// the Node can be reached from it.
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

// golden is the file that the integration tests keep.
func (in *install) golden(path ...string) string {
	return filepath.Join(append([]string{in.System.Root, "test", "integration"}, path...)...)
}

// pods counts those of the system that carry a label.
func (in *install) pods(label string) int {
	return len(strings.Fields(in.kubectl("-n", "mooring-system", "get", "pods", "-l", label, "-o", "name")))
}
