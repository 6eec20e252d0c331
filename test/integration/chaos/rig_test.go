package chaos_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/test/chaos/witness"
	"github.com/mooring-dev/mooring/test/sim"
)

// rig holds a fleet in processes that can be killed, a client that requests dispatches, and an
// observer.
type rig struct {
	*testing.T
	*parts
	*requester
	*observer
	groups     []*part
	machines   []string
	oneAtATime map[string]bool
	marks      string
	prefix     string // of the identity directories
}

// newRig issues identities for machines that dial node, and starts processes with each agents in
// them. Every third machine receives one offer at a time.
func newRig(t *testing.T, node string, processes, each int, args ...string) *rig {
	t.Helper()
	c, err := sim.NewClient(system.Cluster.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	fleet, err := sim.New(t.Context(), sim.Options{Client: c, Dir: system.Dir, PairingEndpoint: system.PairingEndpoint,
		NodeEndpoint: node, Extra: []capability.Capability{&witness.Recorder{}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := fleet.Issue(t.Context(), processes*each, nil); err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, parts: newParts(), requester: &requester{namespace: fleet.Namespace}, oneAtATime: map[string]bool{}, marks: t.TempDir()}
	if r.observer, err = newObserver(system.Cluster.AdminConfig(), fleet.Namespace, r.logObservation); err != nil {
		t.Fatal(err)
	}
	for i, a := range fleet.Agents() {
		r.prefix = strings.TrimSuffix(a.Dir(), a.Name)
		r.machines = append(r.machines, a.Name)
		r.setMaxInFlight(a.Name, 1+3*min(i%3, 1))
	}
	for i := range processes {
		r.startGroup(fmt.Sprintf("%s-machines-%d", fleet.Namespace, i), r.prefix, r.machines[i*each:(i+1)*each], args)
	}
	r.startBackground()
	return r
}

// setMaxInFlight sets how many offers a machine may have at the same time.
func (r *rig) setMaxInFlight(machine string, width int) {
	r.oneAtATime[machine] = width == 1
	node := &v1alpha1.Node{}
	node.Namespace, node.Name = r.namespace, machine
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"maxInFlight":%d}}`, width))
	if err := system.Client.Patch(r.Context(), node, patch); err != nil {
		r.Fatal(err)
	}
}

// startGroup starts a process with the agents of some machines.
func (r *rig) startGroup(name, prefix string, machines, args []string) {
	var process *stack.Process
	p := &part{name: name, machines: machines, process: func() *stack.Process { return process }}
	argv := append(append([]string{"--prefix", prefix, "--marks", r.marks}, args...), machines...)
	p.start = func() (err error) {
		started, err := system.StartMachines(name, "machines", argv...)
		if err == nil {
			process = started
		}
		return err
	}
	if err := p.start(); err != nil {
		r.Fatal(err)
	}
	r.groups = append(r.groups, p)
	r.all = append(r.all, p)
}

// startBackground keeps the processes running and watches the dispatches, until the test ends.
func (r *rig) startBackground() {
	r.all = append(r.all, controllerPart())
	r.all = append(r.all, replicaParts()...)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	var owned sync.WaitGroup
	owned.Go(func() { r.keepRunning(ctx) })
	owned.Go(func() { r.watchAll(ctx) })
	r.Cleanup(func() {
		cancel()
		owned.Wait()
		for _, group := range r.groups {
			group.process().Kill()
		}
	})
}

// boundedContext returns the test's context, bounded by verdictTimeout.
func (r *rig) boundedContext() context.Context {
	ctx, cancel := context.WithTimeout(r.Context(), verdictTimeout)
	r.Cleanup(cancel)
	return ctx
}

// awaitOnline waits until every machine has a session.
func (r *rig) awaitOnline() {
	r.Helper()
	ctx := r.boundedContext()
	for _, machine := range r.machines {
		if err := system.WaitOnline(ctx, r.namespace, machine); err != nil {
			r.Fatal(err)
		}
	}
}
