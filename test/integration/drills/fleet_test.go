package drills_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/stack"
)

// patience bounds every wait; a condition that holds ends it at once.
const patience = 2 * time.Minute

// sized is a count of the tests as they run in continuous integration, or in full.
func sized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// fleet is a namespace with real agents in this process.
type fleet struct {
	*testing.T
	*sim.Fleet
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
	f := &fleet{t, made, runs}
	t.Cleanup(func() {
		if err := made.Close(); err != nil {
			t.Errorf("close the fleet: %v", err)
		}
	})
	if err := made.Issue(f.within(), agents, nil); err != nil {
		t.Fatal(err)
	}
	if err := made.Start(f.within(), 50); err != nil {
		t.Fatal(err)
	}
	return f
}

// within is the test's context, bounded.
func (f *fleet) within() context.Context {
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	f.Cleanup(cancel)
	return ctx
}

func (f *fleet) eventually(what string, ok func() bool) {
	f.Helper()
	if err := stack.Poll(f.within(), ok); err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// allOnline waits until every agent has a session.
func (f *fleet) allOnline() {
	f.Helper()
	if err := f.AwaitOnline(f.within(), len(f.Agents())); err != nil {
		f.Fatal(err)
	}
}

func (f *fleet) node(name string) *v1alpha1.Node {
	f.Helper()
	node := &v1alpha1.Node{}
	if err := system.Client.Get(f.Context(), types.NamespacedName{Namespace: f.Namespace, Name: name}, node); err != nil {
		f.Fatal(err)
	}
	return node
}

// desire sets the desired state of a Node.
func (f *fleet) desire(name string, state v1alpha1.NodeDesiredState) {
	f.Helper()
	node := &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name}}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"desiredState":%q}}`, state))
	if err := system.Client.Patch(f.Context(), node, patch); err != nil {
		f.Fatal(err)
	}
}

// ask creates a dispatch of the counting capability.
func (f *fleet) ask(node string) *v1alpha1.CapabilityDispatch {
	f.Helper()
	name := "d-" + rand.String(8)
	input, err := json.Marshal(map[string]string{"run": name})
	if err != nil {
		f.Fatal(err)
	}
	d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name},
		Spec: v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: f.runs.Name(), Input: &v1alpha1.JSON{Raw: input}}}
	if err := system.Client.Create(f.Context(), d); err != nil {
		f.Fatal(err)
	}
	return d
}

// ended waits for a terminal phase.
func (f *fleet) ended(d *v1alpha1.CapabilityDispatch) *v1alpha1.CapabilityDispatch {
	f.Helper()
	got, err := stack.WaitObject(f.within(), system.Client, client.ObjectKeyFromObject(d), &v1alpha1.CapabilityDispatch{}, "terminal",
		func(d *v1alpha1.CapabilityDispatch) bool { return dispatch.Terminal(d.Status.Phase) })
	if err != nil {
		f.Fatal(err)
	}
	return got
}

// works fails unless a dispatch to the Node runs once and succeeds.
func (f *fleet) works(node string) {
	f.Helper()
	d := f.ended(f.ask(node))
	if d.Status.Phase != v1alpha1.DispatchSucceeded || f.runs.of(d.Name) != 1 {
		f.Errorf("a dispatch to %s ran %d times and ended %+v", node, f.runs.of(d.Name), d.Status)
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

func (c *tally) of(run string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[run]
}
