// Package simfleet is a fleet of many real agents in the process of a test, which count what they
// run.
package simfleet

import (
	"os"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/stack"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

// perSecond is how many agents begin in a second.
const perSecond = 100

// Sized is a count of the tests as they run in continuous integration, or in full.
func Sized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// Fleet is a namespace with agents.
type Fleet struct {
	*testfleet.Fleet
	Sim  *sim.Fleet
	Runs *Tally
}

// New starts so many agents that know the gateways at endpoints. configure changes what they are
// made of; it may be nil.
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
	if err := made.Issue(f.Within(), agents, nil); err != nil {
		t.Fatal(err)
	}
	if err := made.Start(f.Within(), perSecond); err != nil {
		t.Fatal(err)
	}
	return f
}

// AllOnline waits until every agent has a session.
func (f *Fleet) AllOnline() {
	f.Helper()
	if err := f.Sim.AwaitOnline(f.Within(), len(f.Sim.Agents())); err != nil {
		f.Fatal(err)
	}
}
