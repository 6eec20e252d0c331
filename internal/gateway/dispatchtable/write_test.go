package dispatchtable

import (
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

// A failed write waits, unless it failed because the session ends.
func TestAFailedWriteWaitsUnlessTheSessionEnds(t *testing.T) {
	for name, ended := range map[string]bool{"the session goes on": false, "the session ends": true} {
		c := newClock()
		h, _, _ := newHarness(c)
		h.cancelled = ended
		e := &entry{d: newDispatch(c, v1alpha1.DispatchDispatched), busy: true}
		h.run(func() { h.handleWritten(e, nil, errTest, func(error) {}) })
		if waits := e.refusals == 1 && e.retryAt.After(noon.Time); waits == ended || e.busy {
			t.Errorf("%s: %d refusals, next attempt at %s", name, e.refusals, e.retryAt)
		}
	}
}

// The newest state counts: the watch may deliver it before the response to the write.
func TestTheResponseToAWriteIsAppliedIfItIsNewer(t *testing.T) {
	for version, want := range map[string]bool{"4": false, "6": true} {
		c := newClock()
		h, _, _ := newHarness(c)
		e := h.addStored(newDispatch(c, v1alpha1.DispatchDispatched), entry{busy: true, refusals: 3, retryAt: noon.Time})
		stored := e.d.DeepCopy()
		stored.ResourceVersion = version
		called := false
		h.run(func() {
			h.handleWritten(e, stored, nil, func(err error) { called = err == nil && (e.d == stored) == want })
		})
		if !called || e.refusals != 0 || !e.retryAt.IsZero() || e.busy {
			t.Errorf("version %s: entry %+v", version, e)
		}
	}
}

func TestADispatchThatIsDeletedDuringAWriteIsSettled(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	e := h.addStored(newDispatch(c, v1alpha1.DispatchDispatched), entry{offered: true, busy: true})
	h.do(h.HandleWritten(h.snapshot(), &Write{entry: e, then: func(error) { t.Error("the write goes on") }}, nil, mailbox.ErrDeleted))
	if !e.settled || e.busy || h.Has(e.d.UID) || !h.cancelSent() {
		t.Errorf("entry %+v, sent %v", e, h.sent())
	}
}

// A dispatch that left the watch during its write is deleted if it is settled, and else read live.
func TestADispatchThatLeftTheWatchDuringItsWriteIsLookedAt(t *testing.T) {
	for name, tt := range map[string]struct {
		settled, busy bool
		phase         v1alpha1.DispatchPhase
		known         bool
		reads         int
	}{
		"settled":       {true, false, v1alpha1.DispatchSucceeded, false, 0},
		"not finished":  {false, false, v1alpha1.DispatchDispatched, true, 1},
		"finished":      {false, false, v1alpha1.DispatchTimedOut, true, 0},
		"written again": {false, true, v1alpha1.DispatchDispatched, true, 0},
	} {
		c := newClock()
		h, _, _ := newHarness(c)
		e := h.addStored(newDispatch(c, tt.phase), entry{offered: true, busy: true, leftWatch: true})
		h.run(func() { h.handleWritten(e, nil, nil, func(error) { e.settled, e.busy = tt.settled, tt.busy }) })
		if h.Has(e.d.UID) != tt.known || len(h.pending) != tt.reads {
			t.Errorf("%s: known %t, %d reads", name, h.Has(e.d.UID), len(h.pending))
		}
	}
}
