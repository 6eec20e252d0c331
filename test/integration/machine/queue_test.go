package machine_test

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/testfleet"
)

// TestAMachineThatWasAwayRunsItsQueueInOrder creates dispatches while the agent is stopped. When the
// agent is back they must run in the order of creation; the UID decides within a second. Cancelled
// and expired dispatches must never run, and a suspended Node must keep its queue.
func TestAMachineThatWasAwayRunsItsQueueInOrder(t *testing.T) {
	m := newMachine(t, map[string]string{"own.note": shellCapability(`cat >>{dir}/runs; echo >>{dir}/runs`)})
	m.PatchNode(m.node, `{"spec":{"maxInFlight":1}}`)
	m.process.Stop()
	testfleet.Await(m.fleet, m.node, &v1alpha1.Node{}, "away", func(n *v1alpha1.Node) bool { return n.Status.Presence != v1alpha1.PresenceOnline })
	var queue []*v1alpha1.CapabilityDispatch
	for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
		queue = append(queue, m.CreateDispatch(m.node, "own.note", map[string]string{"n": n}))
	}
	cancelled := m.CreateDispatch(m.node, "own.note", map[string]string{"n": "cancelled"})
	expired := m.CreateDispatch(m.node, "own.note", map[string]string{"n": "expired"}, func(s *v1alpha1.CapabilityDispatchSpec) { s.ExpirySeconds = 1 })
	m.SetDesiredState(m.node, v1alpha1.NodeSuspended)
	m.process = m.StartAgent(m.node)
	m.AwaitConnected(m.node) // within two minutes of a session's end only the next session proves NotStarted
	if err := system.Client.Patch(t.Context(), cancelled, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))); err != nil {
		t.Fatal(err)
	}
	for want, d := range map[v1alpha1.DispatchPhase]*v1alpha1.CapabilityDispatch{v1alpha1.DispatchCancelled: cancelled, v1alpha1.DispatchTimedOut: expired} {
		if s := m.AwaitEnded(d).Status; s.Phase != want || s.Execution != v1alpha1.ExecutionNotStarted {
			t.Errorf("ended %s/%s, want %s/NotStarted", s.Phase, s.Execution, want)
		}
	}
	for _, d := range queue {
		if d = testfleet.Read(m.fleet, d); d.Status.Phase != v1alpha1.DispatchQueued {
			t.Errorf("of a suspended Node: %s, want Queued", d.Status.Phase)
		}
	}
	m.SetDesiredState(m.node, v1alpha1.NodeActive)
	for _, d := range queue {
		if s := m.AwaitEnded(d).Status; s.Phase != v1alpha1.DispatchSucceeded {
			t.Errorf("ended %+v", s)
		}
	}
	slices.SortFunc(queue, func(a, b *v1alpha1.CapabilityDispatch) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.UID, b.UID))
	})
	var want strings.Builder
	for _, d := range queue {
		want.Write(d.Spec.Input.Raw)
		want.WriteByte('\n')
	}
	ran, err := os.ReadFile(filepath.Join(m.dir, "runs"))
	if diff := gocmp.Diff(want.String(), string(ran)); err != nil || diff != "" {
		t.Errorf("%v, the order (-want +got):\n%s", err, diff)
	}
}
