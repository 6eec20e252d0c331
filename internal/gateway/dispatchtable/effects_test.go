package dispatchtable

import (
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The session wakes at the next deadline of each entry.
func TestTheAlarmIsForTheNextThingThatTimeChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		e     entry
		phase v1alpha1.DispatchPhase
		want  time.Duration
	}{
		"it expires":      {entry{}, v1alpha1.DispatchQueued, 60 * time.Second},
		"it is overdue":   {entry{offered: true}, v1alpha1.DispatchDispatched, (60 + 30 + 30) * time.Second},
		"it is busy":      {entry{offered: true, busy: true}, v1alpha1.DispatchDispatched, never},
		"it is settled":   {entry{offered: true, settled: true}, v1alpha1.DispatchDispatched, never},
		"it has a result": {entry{offered: true, result: succeededResult()}, v1alpha1.DispatchDispatched, never},
		"it has ended":    {entry{offered: true}, v1alpha1.DispatchFailed, never},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, _ := newHarness(c)
			tt.e.d = newDispatch(c, tt.phase)
			if h.run(func() { h.setAlarm(&tt.e) }); !h.wakeAt.Equal(noon.Add(tt.want)) {
				t.Errorf("the session wakes after %s, want %s", h.wakeAt.Sub(noon.Time), tt.want)
			}
		})
	}
}

func TestTheSessionLooksAgainWithinADay(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{-time.Hour: time.Millisecond, 0: time.Millisecond, time.Minute: time.Minute, 48 * time.Hour: 24 * time.Hour} {
		h, _, _ := newHarness(newClock())
		if h.run(func() { h.wakeIn(in) }); !h.wakeAt.Equal(noon.Add(want)) {
			t.Errorf("wakeIn(%s): after %s, want %s", in, h.wakeAt.Sub(noon.Time), want)
		}
	}
}

func TestTheEarliestAlarmOfACallCounts(t *testing.T) {
	h, _, _ := newHarness(newClock())
	effects := h.call(h.snapshot(), func() {
		for _, after := range []time.Duration{3, 1, 2} {
			h.wakeBy(noon.Add(after * time.Second))
		}
	})
	if !effects.WakeAt.Equal(noon.Add(time.Second)) {
		t.Errorf("the alarm is at %s", effects.WakeAt)
	}
	if effects := h.call(h.snapshot(), func() {}); !effects.WakeAt.IsZero() {
		t.Errorf("a call without an alarm wakes the session at %s", effects.WakeAt)
	}
}

func TestEachJobIsOne(*testing.T) {
	for _, job := range []Job{&Write{}, &Read{}, &Review{}, &Recheck{}} {
		job.isJob()
	}
}
