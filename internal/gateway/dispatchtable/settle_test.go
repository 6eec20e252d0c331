package dispatchtable

import (
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestAMachineMayForgetOnlyAResultThatIsStored(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	h.addStored(d, entry{offered: true, accepted: true})
	at.beforeWrite = func() {
		if h.settledSent() {
			t.Error("Settled was sent before the status was stored")
		}
	}
	h.report(succeeded(d))
	h.runPending()
	if at.writes != 1 || at.dispatch.Status.Phase != v1alpha1.DispatchSucceeded || !h.settledSent() {
		t.Errorf("%d writes, phase %s, settled %t: want the result stored, then settled", at.writes, at.dispatch.Status.Phase, h.settledSent())
	}
	if !slices.Equal(h.counts.settled, []v1alpha1.DispatchPhase{v1alpha1.DispatchSucceeded}) {
		t.Errorf("counted %v", h.counts.settled)
	}
}

// A result that arrived before the offer is settled, not offered again.
func TestAnEntryWithAResultIsSettled(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.ResourceVersion = "1"
	e := h.addStored(d, entry{result: succeededResult()})
	h.run(func() { h.reevaluate(e) })
	h.runPending()
	if at.dispatch.Status.Phase != v1alpha1.DispatchSucceeded || h.queue.len() != 0 {
		t.Errorf("phase %s, %d wait", at.dispatch.Status.Phase, h.queue.len())
	}
}

// The API server may refuse the content of a result. A substitute without that content ends the
// dispatch, and a later result of the machine does not replace the substitute.
func TestAResultThatCannotBeStoredIsReplaced(t *testing.T) {
	for name, tt := range map[string]struct {
		refusal error
		code    string // empty if the result waits
	}{
		"its content is refused": {apierrors.NewBadRequest("for the test"), v1alpha1.ErrorInvalidOutput},
		"the write is refused":   {apierrors.NewForbidden(v1alpha1.Resource("capabilitydispatches"), "d", errTest), ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			d := newDispatch(c, v1alpha1.DispatchDispatched)
			e := h.addStored(d, entry{offered: true, accepted: true, acceptedAt: noon.Time})
			at.refusal = tt.refusal
			at.beforeWrite = func() {
				if e.resultReplaced {
					at.refusal = nil
				}
			}
			h.report(succeeded(d))
			h.runPending()
			code := ""
			if at.dispatch.Status.Error != nil {
				code = at.dispatch.Status.Error.Code
			}
			if code != tt.code || h.settledSent() != (tt.code != "") || at.refusals != 2 {
				t.Errorf("code %q, settled %t after %d refusals", code, h.settledSent(), at.refusals)
			}
			if tt.code == "" && !e.retryAt.Equal(noon.Add(blockedRetryInterval)) {
				t.Errorf("the result is written again at %s", e.retryAt)
			}
		})
	}
	t.Run("twice", func(t *testing.T) {
		c := newClock()
		h, at, _ := newHarness(c)
		d := newDispatch(c, v1alpha1.DispatchDispatched)
		e := h.addStored(d, entry{offered: true, accepted: true, acceptedAt: noon.Time})
		at.refusal = apierrors.NewBadRequest("for the test")
		h.report(succeeded(d))
		h.runPending()
		h.report(succeeded(d))
		if !e.resultReplaced || e.result.ErrorCode != v1alpha1.ErrorInvalidOutput || len(h.pending) != 0 || e.retryAt.IsZero() || h.settledSent() {
			t.Errorf("result %+v, %d writes, next attempt at %s", e.result, len(h.pending), e.retryAt)
		}
	})
}

// A slot in the window is free once its result is stored.
func TestTheNextDispatchIsOfferedAfterAResult(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	next, first := newDispatch(c, v1alpha1.DispatchQueued), newDispatch(c, v1alpha1.DispatchDispatched)
	h.addWaiting(next)
	h.addStored(first, entry{offered: true, accepted: true})
	h.inFlight[first.UID] = struct{}{}
	if h.run(h.offer); h.offersSent() != 0 {
		t.Fatal("the window has no room")
	}
	if h.report(succeeded(first)); h.offersSent() != 1 {
		t.Errorf("sent %v, want an offer", h.sent())
	}
}

// Only the recorded session may report that a dispatch was not offered.
func TestADispatchThatIsNotOfferedEndsIfTheSessionIsRecorded(t *testing.T) {
	for name, tt := range map[string]struct {
		change          func(*store, *entry)
		phase           v1alpha1.DispatchPhase
		settled, queued bool
	}{
		"recorded":         {func(*store, *entry) {}, v1alpha1.DispatchCancelled, true, false},
		"not recorded":     {func(at *store, _ *entry) { at.node.Status.SessionID = "newer" }, v1alpha1.DispatchQueued, false, true},
		"unreadable":       {func(at *store, _ *entry) { at.nodeError = errTest }, v1alpha1.DispatchQueued, false, true},
		"offered, refused": {func(at *store, e *entry) { at.refusal, e.offered = apierrors.NewBadRequest("for the test"), true }, v1alpha1.DispatchQueued, false, false},
		"a result meanwhile, not recorded": {func(at *store, e *entry) { at.node.Status.SessionID, e.result = "newer", succeededResult() },
			v1alpha1.DispatchSucceeded, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			d := newDispatch(c, v1alpha1.DispatchQueued)
			d.Spec.Cancel = true
			e := h.addWaiting(d)
			h.wakeAt = noon.Add(time.Hour)
			h.run(func() { h.reevaluate(e) })
			if h.queue.len() != 0 || !e.busy {
				t.Fatalf("%d wait, busy %t", h.queue.len(), e.busy)
			}
			tt.change(at, e)
			h.runPending()
			if at.dispatch.Status.Phase != tt.phase || e.settled != tt.settled || (h.queue.len() == 1) != tt.queued {
				t.Errorf("phase %s, settled %t, %d queued", at.dispatch.Status.Phase, e.settled, h.queue.len())
			}
			if tt.queued && !h.wakeAt.Equal(noon.Add(blockedRetryInterval)) {
				t.Errorf("the session wakes at %s", h.wakeAt)
			}
			if counted := len(h.counts.settled) == 1; counted != tt.settled {
				t.Errorf("counted %v", h.counts.settled)
			}
		})
	}
}

// The entry of a settled dispatch stays until the dispatch left the watch.
func TestASettledEntryIsDeletedWhenItLeftTheWatch(t *testing.T) {
	for _, left := range []bool{false, true} {
		c := newClock()
		h, _, _ := newHarness(c)
		e := h.addStored(newDispatch(c, v1alpha1.DispatchFailed), entry{leftWatch: left, approvalRequest: &approvalRequest{}, progress: &v1alpha1.DispatchProgress{}})
		h.inFlight[e.d.UID] = struct{}{}
		h.run(func() { h.markSettled(e) })
		if h.Has(e.d.UID) == left || !e.settled || !e.settledAt.Equal(noon.Time) || len(h.inFlight) != 0 || e.approvalRequest != nil || e.progress != nil {
			t.Errorf("left %t: known %t, entry %+v", left, h.Has(e.d.UID), e)
		}
	}
}
