package drills_test

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/simfleet"
)

// fleet is a namespace with real agents in this process.
type fleet struct{ *simfleet.Fleet }

// newFleet issues identities for the given number of machines, which dial node.
func newFleet(t *testing.T, node string, agents int) *fleet {
	t.Helper()
	return &fleet{simfleet.New(t, system, node, agents, nil)}
}

// createDispatch creates a dispatch of the counting capability.
func (f *fleet) createDispatch(node string) *v1alpha1.CapabilityDispatch {
	f.Helper()
	return f.CreateDispatch(node, f.Runs.Name(), simfleet.Input{Run: rand.String(8)})
}

// runCount returns the number of runs of a dispatch.
func (f *fleet) runCount(d *v1alpha1.CapabilityDispatch) int {
	f.Helper()
	var input simfleet.Input
	if err := json.Unmarshal(d.Spec.Input.Raw, &input); err != nil {
		f.Fatal(err)
	}
	return f.Runs.RunsOf(input.Run)
}

// expectWorks fails unless a dispatch to the Node runs once and succeeds.
func (f *fleet) expectWorks(node string) {
	f.Helper()
	d := f.AwaitEnded(f.createDispatch(node))
	if d.Status.Phase != v1alpha1.DispatchSucceeded || f.runCount(d) != 1 {
		f.Errorf("a dispatch to %s ran %d times and ended %+v", node, f.runCount(d), d.Status)
	}
}
