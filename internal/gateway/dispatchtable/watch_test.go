package dispatchtable

import (
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestWhatIsFirstSeenClaimedIsLookedAtBeforeItIsOffered(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	h.draining = true // No dispatch leaves the queue.
	claimed, fresh := newDispatch(c, v1alpha1.DispatchDispatched), newDispatch(c, v1alpha1.DispatchQueued)
	for _, d := range []*v1alpha1.CapabilityDispatch{claimed, fresh} {
		h.do(h.Upsert(h.snapshot(), d))
	}
	h.do(h.Offer(h.snapshot()))
	if len(h.pending) != 1 || !h.entries[claimed.UID].busy {
		t.Errorf("%d reads are started, want 1 of the claimed dispatch", len(h.pending))
	}
	if h.queue.len() != 1 || h.queue.waiting[0].d.UID != fresh.UID {
		t.Errorf("%d wait for their offer, want only the queued one", h.queue.len())
	}
}

func TestTheNewestStateOfADispatchCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		version string
		newest  bool
	}{"older": {"4", false}, "the same": {"5", false}, "newer": {"6", true}} {
		c := newClock()
		h, _, _ := newHarness(c)
		e := h.addStored(newDispatch(c, v1alpha1.DispatchDispatched), entry{offered: true, accepted: true, acceptedAt: noon.Time, leftWatch: true})
		d := e.d.DeepCopy()
		d.ResourceVersion, d.Spec.Cancel = tt.version, true
		h.do(h.Upsert(h.snapshot(), d))
		if (e.d == d) != tt.newest || h.cancelSent() != tt.newest || e.leftWatch == tt.newest {
			t.Errorf("%s: applied %t, sent %v, left %t", name, e.d == d, h.sent(), e.leftWatch)
		}
	}
}

func TestAFinishedDispatchThatIsNotKnownIsIgnored(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	h.do(h.Upsert(h.snapshot(), newDispatch(c, v1alpha1.DispatchFailed)))
	if len(h.entries) != 0 || len(h.pending) != 0 {
		t.Errorf("%d entries, %d reads", len(h.entries), len(h.pending))
	}
}

func TestADeletedDispatchIsReleasedOrCancelledOnItsMachine(t *testing.T) {
	for name, tt := range map[string]struct {
		e                  entry
		settled, cancelled bool
	}{
		"waiting":     {entry{}, false, false},
		"offered":     {entry{offered: true}, false, true},
		"with result": {entry{offered: true, result: succeededResult()}, true, false},
	} {
		c := newClock()
		h, _, _ := newHarness(c)
		tt.e.d = newDispatch(c, v1alpha1.DispatchQueued)
		h.queue.add(h.add(&tt.e))
		h.run(func() { h.handleDeleted(&tt.e) })
		cancelled := len(h.sent()) > 0 && h.sent()[0].GetCancel() != nil
		if h.settledSent() != tt.settled || cancelled != tt.cancelled || h.queue.len() != 0 || len(h.entries) != 0 {
			t.Errorf("%s: sent %v, %d wait, %d entries", name, h.sent(), h.queue.len(), len(h.entries))
		}
	}
}

// A dispatch that left the watch is read live. If the session ends during the read, no decision is
// made.
func TestADispatchThatLeftTheWatchIsDecidedAboutAsItIs(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*harness, *store)
		decided bool
	}{
		"ended": {func(_ *harness, at *store) {
			at.dispatch.Status.Phase, at.dispatch.ResourceVersion = v1alpha1.DispatchFailed, "9"
		}, true},
		"deleted":          {func(_ *harness, at *store) { at.dispatch.UID = "other" }, true},
		"the session ends": {func(h *harness, at *store) { at.readError, h.cancelled = errTest, true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			e := h.addStored(newDispatch(c, v1alpha1.DispatchDispatched), entry{})
			tt.change(h, at)
			h.run(func() { h.refresh(e) })
			h.runPending()
			if e.settled != tt.decided || e.busy {
				t.Errorf("decided %t, busy %t, want %t", e.settled, e.busy, tt.decided)
			}
		})
	}
}

// A dispatch that is unfinished when it is read was not removed from the watch for good.
func TestADispatchThatCameBackToTheWatchWaits(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	h.draining = true
	e := h.addStored(newDispatch(c, v1alpha1.DispatchQueued), entry{})
	h.do(h.HandleLeft(h.snapshot(), e.d.UID))
	h.runPending()
	if e.leftWatch || e.settled || h.queue.len() != 1 {
		t.Errorf("left %t, settled %t, %d wait", e.leftWatch, e.settled, h.queue.len())
	}
}

func TestTheEndOfARunThatTheWatchDoesNotShowIsReadWhileItIsNotBusy(t *testing.T) {
	c := newClock()
	for name, tt := range map[string]struct {
		e     entry
		reads int
		known bool
	}{
		"it left":                      {entry{}, 1, true},
		"it left while it was settled": {entry{settled: true}, 0, false},
		"it left while it was busy":    {entry{busy: true}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, _ := newHarness(c)
			d := newDispatch(c, v1alpha1.DispatchDispatched)
			tt.e.d = d
			h.add(&tt.e)
			h.do(h.HandleLeft(h.snapshot(), d.UID))
			if len(h.pending) != tt.reads || (h.entries[d.UID] != nil) != tt.known || !tt.e.leftWatch {
				t.Errorf("%d reads, known %t, want %d, %t", len(h.pending), h.entries[d.UID] != nil, tt.reads, tt.known)
			}
			h.do(h.HandleLeft(h.snapshot(), "unknown"))
		})
	}
}
