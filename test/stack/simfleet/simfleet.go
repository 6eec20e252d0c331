// Package simfleet runs a fleet of many real agents in the process of a test. The agents count
// their runs.
package simfleet

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/stack"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

const (
	// perSecond is the number of agents that start per second.
	perSecond = 100
	// perIdentity is the time that the creation of one identity may take; two processors make about
	// 15 per second beside another test.
	perIdentity = 200 * time.Millisecond
)

// Sized returns ci, the count for continuous integration, or full when the tests run in full size.
func Sized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// Fleet holds a namespace with its agents.
type Fleet struct {
	*testfleet.Fleet
	Sim  *sim.Fleet
	Runs *Tally
}

// New starts agents that know the gateways at endpoints. configure, if not nil, changes the options
// of each agent.
func New(t *testing.T, system *stack.Stack, endpoints string, agents int, configure func(*nodeagent.Options)) *Fleet {
	t.Helper()
	c, err := sim.NewClient(system.Cluster.Admin())
	if err != nil {
		t.Fatal(err)
	}
	runs := &Tally{times: map[string]int{}}
	made, err := sim.New(t.Context(), sim.Options{Client: c, Dir: system.Dir, PairingEndpoint: system.PairingEndpoint,
		NodeEndpoint: endpoints, Extra: []capability.Capability{runs}, Configure: configure})
	if err != nil {
		t.Fatal(err)
	}
	f := &Fleet{&testfleet.Fleet{T: t, System: system, Namespace: made.Namespace}, made, runs}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Errorf("close the fleet: %v", err)
		}
	})
	if err := made.Issue(f.within(testfleet.Patience+time.Duration(agents)*perIdentity), agents, nil); err != nil {
		t.Fatal(err)
	}
	if err := made.Start(f.Within(), perSecond); err != nil {
		t.Fatal(err)
	}
	return f
}

// AllOnline waits until every agent has a session. After some time without a gateway, an agent may
// be in any of its pauses between attempts, so the wait includes the longest pause.
func (f *Fleet) AllOnline() {
	f.Helper()
	if err := f.Sim.AwaitOnline(f.within(testfleet.Patience+nodeagent.MaxReconnectDelay), len(f.Sim.Agents())); err != nil {
		f.Fatal(err)
	}
}

func (f *Fleet) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), d)
	f.Cleanup(cancel)
	return ctx
}
