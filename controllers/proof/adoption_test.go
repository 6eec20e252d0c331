package proof

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/fakeproofs"
)

// nodeLister is a live reader of Nodes, or of the error err.
type nodeLister struct {
	client.Reader
	nodes []v1alpha1.Node
	err   error
}

func (l *nodeLister) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.NodeList).Items = slices.Clone(l.nodes)
	return l.err
}

// adoptionFixture is an upgrade of a cluster with two Nodes to the first version with proofs.
type adoptionFixture struct {
	*Specs
	proofs *fakeproofs.Proofs
	live   *nodeLister
	events *events.FakeRecorder
}

func newAdoptionFixture() *adoptionFixture {
	f := &adoptionFixture{
		proofs: &fakeproofs.Proofs{Epoch: policy.Epoch{ID: "first", Until: start}, First: true, OK: true},
		live:   &nodeLister{}, events: events.NewFakeRecorder(8),
	}
	for _, name := range []string{"box", "robot"} {
		f.live.nodes = append(f.live.nodes, v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}})
	}
	f.restartLeader()
	return f
}

func (f *adoptionFixture) restartLeader() {
	f.Specs = NewSpecs(f.proofs, testingclock.NewFakeClock(start), f.events)
}

// store writes the records of all Nodes to their status, as the reconciler does.
func (f *adoptionFixture) store() {
	for i := range f.live.nodes {
		f.live.nodes[i].Status.ProvenSpec, _ = f.Evaluate(&f.live.nodes[i])
	}
}

func TestTheAdoptionAtAnUpgradeIsReportedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		upgrade func(*adoptionFixture, func())
		want    int
	}{
		"the upgrade":        {func(_ *adoptionFixture, begin func()) { begin() }, 1},
		"another hook fails": {func(_ *adoptionFixture, begin func()) { begin(); begin() }, 1},
		"the Nodes cannot be read at first": {func(f *adoptionFixture, begin func()) {
			f.live.err = errors.New("busy")
			begin()
			f.live.err = nil
			begin()
		}, 1},
		"a reconcile sees the Nodes earlier": {func(f *adoptionFixture, begin func()) { f.Evaluate(&f.live.nodes[0]); begin() }, 1},
		"the leader changes later":           {func(f *adoptionFixture, begin func()) { begin(); f.store(); f.restartLeader(); begin() }, 1},
		"the next Epoch": {func(f *adoptionFixture, begin func()) {
			begin()
			f.proofs.First, f.proofs.Epoch.ID = false, "second"
			begin()
		}, 1},
		"an installation without Nodes":    {func(f *adoptionFixture, begin func()) { f.live.nodes = nil; begin() }, 0},
		"no adoption: not the first Epoch": {func(f *adoptionFixture, begin func()) { f.proofs.First = false; begin() }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newAdoptionFixture()
			tt.upgrade(f, func() {
				if err := f.EvaluateAll(t.Context(), f.live); !errors.Is(err, f.live.err) {
					t.Fatal(err)
				}
			})
			close(f.events.Events)
			var emitted []string
			for event := range f.events.Events {
				emitted = append(emitted, event)
			}
			if len(emitted) != tt.want {
				t.Fatalf("%d Events, want %d: %q", len(emitted), tt.want, emitted)
			}
			if tt.want == 1 && (!strings.HasPrefix(emitted[0], "Normal "+v1alpha1.ReasonSpecAdopted+" ") || !strings.Contains(emitted[0], "2 Nodes were adopted")) {
				t.Errorf("the Event is %q", emitted[0])
			}
		})
	}
}
