// Package simfleet runs a fleet of many real agents in the process of a test. The agents count
// their runs.
package simfleet

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/testfleet"
)

const (
	// perSecond is the number of agents that start per second.
	perSecond = 100
	// identityTimeout is the time that the creation of one identity may take; two processors make about
	// 15 per second beside another test.
	identityTimeout = 200 * time.Millisecond
)

// CISized returns ci, the count for continuous integration, or full when the tests run in full size.
func CISized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// Fleet holds a namespace with its agents.
type Fleet struct {
	*testfleet.Fleet
	Sim  *sim.Fleet
	Runs *RunCounter
}

// New starts agents that know the gateways at endpoints. configure, if not nil, changes the options
// of each agent.
func New(t *testing.T, system *stack.Stack, endpoints string, agents int, configure func(*nodeagent.Options)) *Fleet {
	t.Helper()
	c, err := sim.NewClient(system.Cluster.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	runs := &RunCounter{times: map[string]int{}}
	simFleet, err := sim.New(t.Context(), sim.Options{Client: c, Dir: system.Dir, PairingEndpoint: system.PairingEndpoint,
		NodeEndpoint: endpoints, Extra: []capability.Capability{runs}, Configure: configure})
	if err != nil {
		t.Fatal(err)
	}
	f := &Fleet{&testfleet.Fleet{T: t, System: system, Namespace: simFleet.Namespace}, simFleet, runs}
	t.Cleanup(func() {
		if err := simFleet.Close(); err != nil {
			t.Errorf("close the fleet: %v", err)
		}
	})
	if err := simFleet.Issue(f.boundedContext(testfleet.WaitTimeout+time.Duration(agents)*identityTimeout), agents, nil); err != nil {
		t.Fatal(err)
	}
	if err := simFleet.Start(f.BoundedContext(), perSecond); err != nil {
		t.Fatal(err)
	}
	return f
}

// AwaitAllOnline waits until every agent has a session. After some time without a gateway, an agent may
// be in any of its pauses between attempts, so the wait includes the longest pause.
func (f *Fleet) AwaitAllOnline() {
	f.Helper()
	if err := f.Sim.AwaitOnline(f.boundedContext(testfleet.WaitTimeout+nodeagent.MaxReconnectDelay), len(f.Sim.Agents())); err != nil {
		f.Fatal(err)
	}
}

func (f *Fleet) boundedContext(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), d)
	f.Cleanup(cancel)
	return ctx
}
