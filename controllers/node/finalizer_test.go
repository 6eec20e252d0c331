package node

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/test/fakeproofs"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// dispatchStore lists the given number of unfinished dispatches and counts the writes.
type dispatchStore struct {
	client.Client
	unfinished, writes int
}

func (s *dispatchStore) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	dispatches, ok := list.(*v1alpha1.CapabilityDispatchList)
	if ok {
		dispatches.Items = make([]v1alpha1.CapabilityDispatch, s.unfinished)
	}
	return nil
}

func (s *dispatchStore) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	s.writes++
	return nil
}

func TestADeletedNodeWaitsForItsSessionAndItsDispatches(t *testing.T) {
	at := func(d time.Duration) *metav1.Time { at := metav1.NewTime(start.Add(d)); return &at }
	for name, test := range map[string]struct {
		started, ended *metav1.Time
		cached, live   int
		goes           bool
	}{
		"no session, no dispatches":        {goes: true},
		"its session has ended":            {started: at(0), ended: at(time.Minute), goes: true},
		"its session is live":              {started: at(0)},
		"its session began after an ended": {started: at(time.Hour), ended: at(time.Minute)},
		"a dispatch is unfinished":         {cached: 1, live: 1},
		"a dispatch is not in the cache":   {live: 1},
	} {
		t.Run(name, func(t *testing.T) {
			cache, live := &dispatchStore{unfinished: test.cached}, &dispatchStore{unfinished: test.live}
			r := &reconciler{client: cache, live: live, clock: testingclock.NewFakeClock(start), specs: proof.NewSpecs(&fakeproofs.Proofs{}, testingclock.NewFakeClock(start), nil)}
			node := &v1alpha1.Node{
				ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "box", Finalizers: []string{v1alpha1.FinalizerNode}, DeletionTimestamp: at(0)},
				Status:     v1alpha1.NodeStatus{SessionStartedTime: test.started, SessionEndedTime: test.ended},
			}
			if err := r.finalize(t.Context(), node).Err(); err != nil {
				t.Fatal(err)
			}
			if goes := cache.writes == 1; goes != test.goes {
				t.Errorf("the finalizer is removed: %v", goes)
			}
		})
	}
}
