package dispatchtable

import (
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

func TestAcceptanceIsNotedOnceForEachWayADispatchIsOffered(t *testing.T) {
	c := newClock()
	for _, phase := range []v1alpha1.DispatchPhase{v1alpha1.DispatchQueued, v1alpha1.DispatchDispatched} {
		h, _, _ := newHarness(c)
		d := newDispatch(c, phase)
		e := h.add(&entry{d: d, offered: true, offeredAt: c.Now(), accepted: true, acceptedAt: c.Now()})
		next, ok := h.nextStep(e)
		if !ok || next.name != "dispatched" || !e.acceptanceUnrecorded() {
			t.Fatalf("the next step of a %s dispatch is %q, %t, want its acceptance recorded", phase, next.name, ok)
		}
		e.d.Status = next.decide(e.d.Status, c.Now())
		if _, again := h.nextStep(e); again || !dispatch.Accepted(e.d.Status) || e.acceptanceUnrecorded() {
			t.Errorf("the acceptance of a %s dispatch is not recorded exactly once: %+v", phase, e.d.Status)
		}
	}
}

// An ended session records the acceptances that are not stored. Those that it cannot record are
// known to the next session on the same gateway.
func TestAcceptancesAreRecordedAtTheEndOfTheSession(t *testing.T) {
	for name, tt := range map[string]struct {
		e          entry
		phase      v1alpha1.DispatchPhase
		writes     int
		unrecorded bool // after the write
	}{
		"accepted":     {entry{offered: true, accepted: true}, v1alpha1.DispatchQueued, 1, false},
		"claimed":      {entry{offered: true, accepted: true}, v1alpha1.DispatchDispatched, 1, false},
		"not accepted": {entry{offered: true}, v1alpha1.DispatchDispatched, 0, false},
		"busy":         {entry{offered: true, accepted: true, busy: true}, v1alpha1.DispatchDispatched, 0, true},
		"a result":     {entry{offered: true, accepted: true, result: succeededResult()}, v1alpha1.DispatchDispatched, 0, true},
		"settled":      {entry{offered: true, accepted: true, settled: true}, v1alpha1.DispatchDispatched, 0, false},
		"finished":     {entry{offered: true, accepted: true}, v1alpha1.DispatchTimedOut, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			h.ended = true
			e := h.addStored(newDispatch(c, tt.phase), tt.e)
			h.do(h.RecordAcceptances(h.snapshot()))
			h.runPending()
			unrecorded := h.UnrecordedAcceptances()
			if at.writes != tt.writes || dispatch.Accepted(at.dispatch.Status) != (tt.writes == 1) || len(unrecorded) == 1 != tt.unrecorded || unrecorded[e.d.UID] != tt.unrecorded {
				t.Errorf("%d writes, status %+v, unrecorded %v", at.writes, at.dispatch.Status, unrecorded)
			}
		})
	}
}
