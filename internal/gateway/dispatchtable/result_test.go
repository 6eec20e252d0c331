package dispatchtable

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The session reads an unknown dispatch of a result from the API server. The answer is the same for
// every dispatch that is not this machine's.
func TestTheResultOfADispatchThatIsNotKnown(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*harness, *store, *v1alpha1.CapabilityDispatch)
		writes  int
		settled bool
		foreign int
	}{
		"of an earlier session": {func(*harness, *store, *v1alpha1.CapabilityDispatch) {}, 1, true, 0},
		"of another machine":    {func(_ *harness, at *store, _ *v1alpha1.CapabilityDispatch) { at.dispatch.Spec.NodeName = "other" }, 0, true, 1},
		"of one made again":     {func(_ *harness, at *store, _ *v1alpha1.CapabilityDispatch) { at.dispatch.UID = "other" }, 0, true, 1},
		"known meanwhile": {func(h *harness, _ *store, d *v1alpha1.CapabilityDispatch) {
			h.add(&entry{d: d, settled: true})
		}, 0, true, 0},
		"the session ends": {func(h *harness, at *store, _ *v1alpha1.CapabilityDispatch) { at.readError, h.cancelled = errTest, true }, 0, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			d := newDispatch(c, v1alpha1.DispatchDispatched)
			d.ResourceVersion = "1"
			at.dispatch = d.DeepCopy()
			h.report(succeeded(d))
			tt.change(h, at, d)
			h.runPending()
			if at.writes != tt.writes || h.settledSent() != tt.settled || h.counts.foreign != tt.foreign {
				t.Errorf("%d writes, settled %t, %d foreign, want %d, %t, %d", at.writes, h.settledSent(), h.counts.foreign, tt.writes, tt.settled, tt.foreign)
			}
		})
	}
}

// The answer for a dispatch in another namespace needs no read.
func TestAResultOfAnotherNamespaceIsDroppedAtOnce(t *testing.T) {
	h, _, _ := newHarness(newClock())
	h.report(&gatewayv1.Result{Dispatch: &gatewayv1.DispatchRef{Namespace: "other", Name: "d", Uid: "u"}})
	if !h.settledSent() || len(h.pending) != 0 || h.counts.foreign != 1 || len(h.entries) != 0 {
		t.Errorf("sent %v, %d reads, %d counted, %d entries", h.sent(), len(h.pending), h.counts.foreign, len(h.entries))
	}
}

// Results beyond the budget of the Node are dropped. The machine sends them again.
func TestResultsOfUnknownDispatchesHaveABudget(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	burst := h.session.UnknownResults.Burst()
	for i := range burst + 3 {
		h.report(&gatewayv1.Result{Dispatch: &gatewayv1.DispatchRef{Namespace: pcKey.Namespace, Name: "d", Uid: fmt.Sprint(i)}})
	}
	if len(h.pending) != burst || h.counts.throttled != 3 || h.settledSent() {
		t.Errorf("%d reads, %d throttled, want %d, 3", len(h.pending), h.counts.throttled, burst)
	}
	known := h.add(&entry{d: newDispatch(c, v1alpha1.DispatchQueued), offered: true})
	if h.report(succeeded(known.d)); !known.busy {
		t.Error("the result of a known dispatch was dropped")
	}
}

func TestAResultCountsOnlyForTheDispatchesOfItsMachine(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	own, other, older := newDispatch(c, v1alpha1.DispatchQueued), newDispatch(c, v1alpha1.DispatchQueued), newDispatch(c, v1alpha1.DispatchFailed)
	other.Spec.NodeName = "another"
	h.node.CreationTimestamp = noon
	ended := metav1.NewMicroTime(noon.Add(-time.Minute))
	older.Status.CompletedTime = &ended
	otherNamespace := newDispatch(c, v1alpha1.DispatchQueued)
	otherNamespace.Namespace = "other"
	for _, tt := range []struct {
		d    *v1alpha1.CapabilityDispatch
		want bool
	}{{own, true}, {other, false}, {older, false}, {otherNamespace, false}} {
		h.run(func() {
			if got := h.belongsToNode(tt.d); got != tt.want {
				t.Errorf("a dispatch of %s that ended at %v concerns this machine: %t, want %t", tt.d.Spec.NodeName, tt.d.Status.CompletedTime, got, tt.want)
			}
		})
	}
}

// A dispatch that ended within a second after the stored creation time of the Node counts as an
// earlier machine's: creation times are truncated to seconds.
func TestADispatchThatEndedAsItsNodeWasMadeIsItsMachines(t *testing.T) {
	h, _, _ := newHarness(newClock())
	h.node = &v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: noon}}
	for after, want := range map[time.Duration]bool{-time.Second: false, time.Second - time.Microsecond: false, time.Second: true} {
		ended := metav1.NewMicroTime(noon.Add(after))
		d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: pcKey.Namespace},
			Spec: v1alpha1.CapabilityDispatchSpec{NodeName: pcKey.Name}, Status: v1alpha1.CapabilityDispatchStatus{CompletedTime: &ended}}
		h.run(func() {
			if got := h.belongsToNode(d); got != want {
				t.Errorf("a dispatch that ended %s after its Node was made: %t, want %t", after, got, want)
			}
		})
	}
}

// A repeated result of a settled dispatch is settled again without a write.
func TestAResultThatIsRepeatedIsSettledAgain(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	e := h.addStored(newDispatch(c, v1alpha1.DispatchSucceeded), entry{offered: true, settled: true})
	if h.report(succeeded(e.d)); !h.settledSent() || len(h.pending) != 0 {
		t.Errorf("sent %v, %d writes", h.sent(), len(h.pending))
	}
}

// The bound of the output is the one of the spec, and a result ends the wait after a refused write.
func TestAResultIsTakenWithTheBoundOfItsDispatch(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.Spec.MaxPayloadBytes = 7
	e := h.addWaiting(d)
	e.retryAt, h.inFlight[d.UID] = noon.Add(time.Minute), struct{}{}
	h.report(succeeded(d))
	if e.result.MaxPayloadBytes != 7 || !e.offered || !e.retryAt.IsZero() || h.queue.len() != 0 || len(h.inFlight) != 0 || len(h.pending) != 1 {
		t.Errorf("entry %+v, %d queued, %d in flight, %d writes", e, h.queue.len(), len(h.inFlight), len(h.pending))
	}
}
