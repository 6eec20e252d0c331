package dispatchtable

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestARefusedWriteWaitsLongerEachTime(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	e := &entry{d: newDispatch(c, v1alpha1.DispatchQueued)}
	for i, want := range []time.Duration{2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30} {
		h.wakeAt = noon.Add(time.Hour)
		h.run(func() { h.postpone(e) })
		if at := noon.Add(want * time.Second); !e.retryAt.Equal(at) || !h.wakeAt.Equal(at) || e.refusals != i+1 {
			t.Errorf("after %d refusals the dispatch waits until %s, the session wakes at %s, want %s", e.refusals, e.retryAt, h.wakeAt, at)
		}
	}
	e.refusals = 1000
	if h.run(func() { h.postpone(e) }); !e.retryAt.Equal(noon.Add(maxRetry)) {
		t.Errorf("after %d refusals the dispatch waits until %s", e.refusals, e.retryAt)
	}
	postponed := func() (waits bool) {
		h.run(func() { waits = h.postponed(e) })
		return waits
	}
	if c.Step(maxRetry - 1); !postponed() {
		t.Error("the write is tried again too early")
	}
	if c.Step(1); postponed() {
		t.Error("the write is not tried again after maxRetry")
	}
}

// A refused write is made again when its wait has passed.
func TestARefusedWriteIsRepeatedAfterItsWait(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchDispatched)
	h.addStored(d, entry{offered: true, accepted: true, acceptedAt: noon.Time})
	at.refusal = apierrors.NewForbidden(v1alpha1.Resource("capabilitydispatches"), d.Name, errTest)
	h.report(succeeded(d))
	h.runPending()
	at.refusal = nil
	for after, writes := range []int{0, 0, 1} {
		c.SetTime(noon.Add(time.Duration(after) * blockedRetryInterval / 2))
		h.do(h.Tick(h.snapshot()))
		h.runPending()
		if at.writes != writes || h.settledSent() != (writes == 1) {
			t.Errorf("%s later: %d writes, want %d", c.Now().Sub(noon.Time), at.writes, writes)
		}
	}
}
