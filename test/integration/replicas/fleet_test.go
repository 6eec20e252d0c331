package replicas_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/nodeagent"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/simfleet"
)

// fleet is a namespace with real agents in this process.
type fleet struct{ *simfleet.Fleet }

// newFleet starts agents that know the gateways at endpoints, and waits until all are online.
func newFleet(t *testing.T, endpoints string, agents int, configure func(*nodeagent.Options)) *fleet {
	t.Helper()
	f := &fleet{simfleet.New(t, system, endpoints, agents, configure)}
	f.AwaitAllOnline()
	return f
}

// nodesByName returns the Nodes of the fleet, by name.
func (f *fleet) nodesByName() map[string]v1alpha1.Node {
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

// onGateway returns the agents whose Nodes record a live session on the gateway process of that name.
func (f *fleet) onGateway(gateway string) (agents []*sim.Agent) {
	f.Helper()
	nodes := f.nodesByName()
	for _, a := range f.Sim.Agents() {
		if s := nodes[a.Name].Status; s.Presence == v1alpha1.PresenceOnline && strings.HasPrefix(s.Gateway, gateway+"-") {
			agents = append(agents, a)
		}
	}
	return agents
}

// spreadAgents waits until each gateway of the system has at least least agents of the fleet.
func (f *fleet) spreadAgents(least int) {
	f.Helper()
	f.Eventually("agents on both gateways", func() bool {
		sides := [][]*sim.Agent{f.onGateway("gateway-0"), f.onGateway("gateway-1")}
		if len(sides[0])+len(sides[1]) < len(f.Sim.Agents()) {
			return false
		}
		for i, side := range sides {
			if len(side) < least {
				sides[1-i][0].Cut() // it chooses again, and tries the other gateway first
				f.AwaitAllOnline()
				return false
			}
		}
		return true
	})
}

// createDispatch creates a dispatch whose run lasts for the given time.
func (f *fleet) createDispatch(node string, lasts time.Duration) *v1alpha1.CapabilityDispatch {
	f.Helper()
	name := "d-" + rand.String(8)
	input, err := json.Marshal(simfleet.Input{Run: name, SleepMilliseconds: int(lasts.Milliseconds())})
	if err != nil {
		f.Fatal(err)
	}
	d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: name},
		Spec: v1alpha1.CapabilityDispatchSpec{NodeName: node, Capability: f.Runs.Name(), Input: &v1alpha1.JSON{Raw: input}, TimeoutSeconds: 60}}
	if err := system.Client.Create(f.Context(), d); err != nil {
		f.Errorf("create a dispatch: %v", err)
	}
	return d
}

// checkRanOnce fails the test for every dispatch that did not succeed with exactly one run.
func (f *fleet) checkRanOnce(asked []*v1alpha1.CapabilityDispatch) {
	f.Helper()
	for _, d := range asked {
		if s := f.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded || s.Execution != v1alpha1.ExecutionFinished || f.Runs.RunsOf(d.Name) != 1 {
			f.Errorf("%s to %s ran %d times and ended %s/%s: %+v", d.Name, d.Spec.NodeName, f.Runs.RunsOf(d.Name), s.Phase, s.Execution, s.Error)
		}
	}
}
