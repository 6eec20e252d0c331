package replicas_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/nodeagent/backoff"
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

// newFleet brings so many agents online that know the gateways at endpoints.
func newFleet(t *testing.T, endpoints string, agents int, configure func(*nodeagent.Options)) *fleet {
	t.Helper()
	c, err := sim.NewClient(system.Cluster.Admin())
	if err != nil {
		t.Fatal(err)
	}
	runs := &tally{times: map[string]int{}}
	made, err := sim.New(t.Context(), sim.Options{Client: c, Dir: system.Dir, PairingEndpoint: system.PairingEndpoint,
		NodeEndpoint: endpoints, Extra: []capability.Capability{runs}, Configure: configure})
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
	if err := made.Start(f.Within(), 100); err != nil {
		t.Fatal(err)
	}
	f.allOnline()
	return f
}

// allOnline waits until every agent has a session.
func (f *fleet) allOnline() {
	f.Helper()
	if err := f.sim.AwaitOnline(f.Within(), len(f.sim.Agents())); err != nil {
		f.Fatal(err)
	}
}

// nodes are those of the fleet, by name.
func (f *fleet) nodes() map[string]v1alpha1.Node {
	f.Helper()
	var list v1alpha1.NodeList
	if err := system.Client.List(f.Context(), &list, client.InNamespace(f.Namespace)); err != nil {
		f.Fatal(err)
	}
	nodes := map[string]v1alpha1.Node{}
	for _, node := range list.Items {
		nodes[node.Name] = node
	}
	return nodes
}

// on lists the agents whose Nodes record a live session on the gateway process of that name.
func (f *fleet) on(gateway string) (agents []*sim.Agent) {
	f.Helper()
	nodes := f.nodes()
	for _, a := range f.sim.Agents() {
		if s := nodes[a.Name].Status; s.Presence == v1alpha1.PresenceOnline && strings.HasPrefix(s.Gateway, gateway+"-") {
			agents = append(agents, a)
		}
	}
	return agents
}

// spread waits until both gateways of the system hold at least least agents of the fleet.
func (f *fleet) spread(least int) {
	f.Helper()
	f.Eventually("agents on both gateways", func() bool {
		sides := [][]*sim.Agent{f.on("gateway-0"), f.on("gateway-1")}
		if len(sides[0])+len(sides[1]) < len(f.sim.Agents()) {
			return false
		}
		for i, side := range sides {
			if len(side) < least {
				sides[1-i][0].Cut() // it draws anew, the other one first
				f.allOnline()
				return false
			}
		}
		return true
	})
}

// ask creates a dispatch that runs so long.
func (f *fleet) ask(node string, lasts time.Duration) *v1alpha1.CapabilityDispatch {
	f.Helper()
	name := "d-" + rand.String(8)
	input, err := json.Marshal(tallyInput{Run: name, SleepMilliseconds: int(lasts.Milliseconds())})
	if err != nil {
		f.Fatal(err)
	}
	d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name},
		Spec: v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: f.runs.Name(), Input: &v1alpha1.JSON{Raw: input}, TimeoutSeconds: 60}}
	if err := system.Client.Create(f.Context(), d); err != nil {
		f.Errorf("create a dispatch: %v", err)
	}
	return d
}

// ranOnce fails for every dispatch that did not succeed with exactly one run.
func (f *fleet) ranOnce(asked []*v1alpha1.CapabilityDispatch) {
	f.Helper()
	for _, d := range asked {
		if s := f.Ended(d).Status; s.Phase != v1alpha1.DispatchSucceeded || s.Execution != v1alpha1.ExecutionFinished || f.runs.of(d.Name) != 1 {
			f.Errorf("%s to %s ran %d times and ended %s/%s: %+v", d.Name, d.Spec.NodeName, f.runs.of(d.Name), s.Phase, s.Execution, s.Error)
		}
	}
}

// tally is a capability that counts its runs by their name, on the machine's own side.
type tally struct {
	mu    sync.Mutex
	times map[string]int
}

type tallyInput struct {
	Run               string `json:"run"`
	SleepMilliseconds int    `json:"sleepMilliseconds"`
}

// Name is test.count.
func (*tally) Name() string { return "test.count" }

// Description is for people.
func (*tally) Description() string { return "Counts its runs." }

// Schema describes the input.
func (*tally) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["run"],"properties":{"run":{"type":"string"},"sleepMilliseconds":{"type":"integer"}}}`)
}

// Mediation is not needed in tests.
func (*tally) Mediation() capability.Mediation { return capability.None }

// Check accepts anything.
func (*tally) Check(json.RawMessage) error { return nil }

// Run counts, then works as long as it is told.
func (c *tally) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
	var input tallyInput
	if err := json.Unmarshal(request.Input, &input); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.times[input.Run]++
	times := c.times[input.Run]
	c.mu.Unlock()
	if err := backoff.Sleep(ctx, time.Duration(input.SleepMilliseconds)*time.Millisecond); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%d", times), nil
}

func (c *tally) of(run string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[run]
}
