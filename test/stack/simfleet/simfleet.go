// Package simfleet is a fleet of many real agents in the process of a test, which count what they
// run.
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
	// perSecond is how many agents begin in a second.
	perSecond = 100
	// perIdentity is the time that an identity may take; two processors make about 15 in a second
	// beside another test.
	perIdentity = 200 * time.Millisecond
)

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
	if err := made.Issue(f.within(testfleet.Patience+time.Duration(agents)*perIdentity), agents, nil); err != nil {
		t.Fatal(err)
	}
	if err := made.Start(f.Within(), perSecond); err != nil {
		t.Fatal(err)
	}
	return f
}

// AllOnline waits until every agent has a session. One that tried in vain for a while, with no
// gateway there, may have come to any pause before the next attempt.
func (f *Fleet) AllOnline() {
	f.Helper()
	if err := f.Sim.AwaitOnline(f.within(testfleet.Patience+nodeagent.LongestPause), len(f.Sim.Agents())); err != nil {
		f.Fatal(err)
	}
}

func (f *Fleet) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), d)
	f.Cleanup(cancel)
	return ctx
}
