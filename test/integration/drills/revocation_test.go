package drills_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/sim"
	"github.com/mooring-dev/mooring/test/simfleet"
)

// TestRevocationCutsThoseAndNobodyElse withdraws the trust of some of many machines at the same moment,
// in three ways, while others work. It must end the sessions of all of them and of no other machine.
// The benchmark measures the time.
func TestRevocationCutsThoseAndNobodyElse(t *testing.T) {
	f := newFleet(t, system.NodeEndpoint, simfleet.CISized(20, 500))
	f.AwaitAllOnline()
	agents := f.Sim.Agents()
	each := len(agents) / 5
	var asked []*v1alpha1.CapabilityDispatch
	for _, a := range agents {
		asked = append(asked, f.createDispatch(a.Name))
	}
	patch := func(body string) func(*v1alpha1.Node) error {
		return func(node *v1alpha1.Node) error {
			return system.Client.Patch(t.Context(), node, client.RawPatch(types.MergePatchType, []byte(body)))
		}
	}
	for i, withdraw := range []func(*v1alpha1.Node) error{
		patch(`{"spec":{"desiredState":"Revoked"}}`),
		patch(`{"spec":{"publicKeySHA256":"` + strings.Repeat("0", 64) + `"}}`),
		func(node *v1alpha1.Node) error { return system.Client.Delete(t.Context(), node) },
	} {
		for _, a := range agents[i*each : (i+1)*each] {
			if err := withdraw(&v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Namespace: f.Namespace, Name: a.Name}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	withdrawn, rest := agents[:3*each], agents[3*each:]
	for _, a := range withdrawn {
		f.Eventually(a.Name+" to be cut", func() bool { return !a.Online() })
		if _, reason := a.Ended(); !strings.Contains(reason, "PermissionDenied") {
			t.Errorf("%s was cut with %q, want PermissionDenied", a.Name, reason)
		}
	}
	for _, d := range asked[3*each:] {
		if end := f.AwaitEnded(d).Status; end.Phase != v1alpha1.DispatchSucceeded || f.runCount(d) != 1 {
			t.Errorf("a dispatch to a machine that kept its trust ran %d times and ended %+v", f.runCount(d), end)
		}
	}
	f.expectWorks(rest[0].Name)
	f.expectSessions(rest, 1)
	f.expectSessions(withdrawn, 1) // none of them opened another session
	for _, a := range withdrawn {
		if a.Online() {
			t.Errorf("%s has a session again", a.Name)
		}
	}
}

// expectSessions fails for agents that have opened another number of sessions.
func (f *fleet) expectSessions(agents []*sim.Agent, sessions int) {
	f.Helper()
	for _, a := range agents {
		if n := a.Sessions(); n != sessions {
			_, reason := a.Ended()
			f.Errorf("%s has opened %d sessions, want %d; the last ended with %q", a.Name, n, sessions, reason)
		}
	}
}
