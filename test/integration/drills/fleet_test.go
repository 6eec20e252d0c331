package drills_test

import (
	"context"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/stack/testfleet"
)

// sized is a count of the tests as they run in continuous integration, or in full.
func sized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// fleet is a namespace with real agents in this process.
type fleet struct {
	*testfleet.Fleet
	sim  *sim.Fleet
	runs *tally
}

// newFleet issues so many identities for machines that dial node.
func newFleet(t *testing.T, node string, agents int) *fleet {
	t.Helper()
	c, err := sim.NewClient(system.Cluster.Admin())
	if err != nil {
		t.Fatal(err)
	}
	runs := &tally{times: map[string]int{}}
	made, err := sim.New(t.Context(), sim.Options{Client: c, Dir: system.Dir, PairingEndpoint: system.PairingEndpoint, NodeEndpoint: node, Extra: []capability.Capability{runs}})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{&testfleet.Fleet{T: t, System: system, Namespace: made.Namespace}, made, runs}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Errorf("close the fleet: %v", err)
		}
	})
	if err := made.Issue(f.Within(), agents, nil); err != nil {
		t.Fatal(err)
	}
	if err := made.Start(f.Within(), 50); err != nil {
		t.Fatal(err)
	}
	return f
}

// allOnline waits until every agent has a session.
func (f *fleet) allOnline() {
	f.Helper()
	if err := f.sim.AwaitOnline(f.Within(), len(f.sim.Agents())); err != nil {
		f.Fatal(err)
	}
}

// ask creates a dispatch of the counting capability.
func (f *fleet) ask(node string) *v1alpha1.CapabilityDispatch {
	f.Helper()
	return f.Ask(node, f.runs.Name(), map[string]string{"run": rand.String(8)})
}

// works fails unless a dispatch to the Node runs once and succeeds.
func (f *fleet) works(node string) {
	f.Helper()
	d := f.Ended(f.ask(node))
	if d.Status.Phase != v1alpha1.DispatchSucceeded || f.runs.of(d) != 1 {
		f.Errorf("a dispatch to %s ran %d times and ended %+v", node, f.runs.of(d), d.Status)
	}
}

// tally is a capability that counts its runs by their name, on the machine's own side.
type tally struct {
	mu    sync.Mutex
	times map[string]int
}

// Name is test.count.
func (*tally) Name() string { return "test.count" }

// Description is for people.
func (*tally) Description() string { return "Counts its runs." }

// Schema describes the input.
func (*tally) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["run"],"properties":{"run":{"type":"string"}}}`)
}

// Mediation is not needed in tests.
func (*tally) Mediation() capability.Mediation { return capability.None }

// Check accepts anything.
func (*tally) Check(json.RawMessage) error { return nil }

// Run counts.
func (c *tally) Run(_ context.Context, request capability.Request) (json.RawMessage, error) {
	var input struct{ Run string }
	if err := json.Unmarshal(request.Input, &input); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times[input.Run]++
	return json.Marshal(c.times[input.Run])
}

// of is how often a dispatch ran.
func (c *tally) of(d *v1alpha1.CapabilityDispatch) int {
	var input struct{ Run string }
	if d.Spec.Input == nil || json.Unmarshal(d.Spec.Input.Raw, &input) != nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[input.Run]
}
