package dispatchtable

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

func TestTheWindowIsFilledAndNoMore(t *testing.T) {
	for _, tt := range []struct {
		maxInFlight int32
		offers      int
	}{{0, 1}, {1, 1}, {3, 3}, {9, 5}} {
		c := newClock()
		h, _, gate := newHarness(c)
		h.node.Spec.MaxInFlight = tt.maxInFlight
		for range 5 {
			h.queue.add(h.add(&entry{d: newDispatch(c, v1alpha1.DispatchQueued)}))
		}
		if h.run(h.offer); h.offersSent() != tt.offers || len(h.inFlight) != tt.offers || h.queue.len() != 5-tt.offers {
			t.Errorf("maxInFlight %d: %d offers, %d in flight, %d wait, want %d offers", tt.maxInFlight, h.offersSent(), len(h.inFlight), h.queue.len(), tt.offers)
		}
		if h.counts.offered != tt.offers {
			t.Errorf("%d offers are counted, want %d", h.counts.offered, tt.offers)
		}
		if gate.err, h.wakeAt = errTest, noon.Add(time.Hour); h.queue.len() > 0 {
			if h.run(h.offer); !h.wakeAt.Equal(noon.Add(time.Hour)) {
				t.Error("a session with a full window sets an alarm to retry offers")
			}
		}
	}
}

// Each row is a precondition of an offer. Without it the dispatch waits in the queue.
func TestADispatchWaitsWithoutAPreconditionOfItsOffer(t *testing.T) {
	for name, tt := range map[string]struct {
		lose  func(*harness, *gate, *fakeClock)
		offer bool
		wakes time.Duration // the alarm
	}{
		"nothing missing":      {func(*harness, *gate, *fakeClock) {}, true, 200 * time.Millisecond},
		"blocked offers":       {func(_ *harness, g *gate, _ *fakeClock) { g.err = errTest }, false, blockedRetryInterval},
		"a suspended Node":     {func(h *harness, _ *gate, _ *fakeClock) { h.node.Spec.DesiredState = v1alpha1.NodeSuspended }, false, never},
		"an unproven spec":     {func(h *harness, _ *gate, _ *fakeClock) { h.node.Status.ProvenSpec = &v1alpha1.ProvenSpec{} }, false, never},
		"an ended certificate": {func(h *harness, _ *gate, c *fakeClock) { h.session.CertificateExpiry = c.server }, false, never},
		"a valid certificate":  {func(h *harness, _ *gate, c *fakeClock) { h.session.CertificateExpiry = c.server.Add(1) }, true, 200 * time.Millisecond},
		"a draining session":   {func(h *harness, _ *gate, _ *fakeClock) { h.draining = true }, false, never},
		"an ended session":     {func(h *harness, _ *gate, _ *fakeClock) { h.ended = true }, false, never},
		"a full window":        {func(h *harness, _ *gate, _ *fakeClock) { h.inFlight["another"] = struct{}{} }, false, never},
		"a refused write":      {func(h *harness, _ *gate, c *fakeClock) { h.queue.waiting[0].retryAt = c.local.Add(time.Second) }, false, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, gate := newHarness(c)
			h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued))
			tt.lose(h, gate, c)
			h.do(h.Offer(h.snapshot()))
			h.runPending()
			if offered := len(h.sent()) == 1 && h.sent()[0].GetOffer() != nil; offered != tt.offer || (h.queue.len() == 0) != tt.offer {
				t.Errorf("sent %v, %d wait, want an offer: %t", h.sent(), h.queue.len(), tt.offer)
			}
			if !h.wakeAt.Equal(noon.Add(tt.wakes)) {
				t.Errorf("the session wakes after %s, want %s", h.wakeAt.Sub(noon.Time), tt.wakes)
			}
		})
	}
}

func TestBeyondMaxQueuedTheNewestAreRefused(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	h.MaxQueued = 2
	h.inFlight["another"] = struct{}{}
	for i := range 3 {
		d := newDispatch(c, v1alpha1.DispatchQueued)
		d.CreationTimestamp = metav1.NewTime(noon.Add(time.Duration(i) * time.Second))
		h.queue.add(h.addStored(d, entry{}))
	}
	newest := h.queue.newest(1)[0]
	h.run(h.offer)
	if h.queue.len() != 2 || !newest.busy || len(h.pending) != 1 {
		t.Errorf("%d wait, %d writes, the newest is refused: %t", h.queue.len(), len(h.pending), newest.busy)
	}
	h.runPending()
	if e := at.dispatch.Status.Error; e == nil || e.Code != v1alpha1.ErrorQueueFull || !newest.settled {
		t.Errorf("the newest ends with %+v, settled %t", e, newest.settled)
	}
}

func TestAnOfferCarriesTheBoundOfItsOutput(t *testing.T) {
	for spec, want := range map[int32]uint32{-1: 0, 0: 0, 7: 7} {
		c := newClock()
		h, _, _ := newHarness(c)
		d := newDispatch(c, v1alpha1.DispatchQueued)
		d.Spec.MaxPayloadBytes = spec
		h.run(func() { h.sendOffer(&entry{d: d}) })
		if got := h.sent()[0].GetOffer().GetMaxPayloadBytes(); got != want {
			t.Errorf("spec.maxPayloadBytes %d is offered as %d, want %d", spec, got, want)
		}
	}
}

func TestAnOfferDescribesItsDispatch(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	d.Spec.RequestedBy, d.Spec.Input = "rita", &v1alpha1.JSON{Raw: []byte(`{"a":"\u003cb\u003e"}`)}
	e := &entry{d: d}
	h.run(func() { h.sendOffer(e) })
	offer := h.sent()[0].GetOffer()
	if offer.GetDispatch().GetUid() != string(d.UID) || offer.GetDispatch().GetName() != d.Name || offer.GetDispatch().GetNamespace() != d.Namespace ||
		offer.GetCapability() != "echo" || offer.GetRequestedBy() != "rita" || string(offer.GetInput()) != `{"a":"<b>"}` ||
		offer.GetTimeout().AsDuration() != 30*time.Second || !offer.GetExpires().AsTime().Equal(noon.Add(time.Minute)) {
		t.Errorf("offer %v", offer)
	}
	if !e.offered || !e.offeredAt.Equal(noon.Time) || e.stage != stageAsk {
		t.Errorf("offered %t at %s, stage %s", e.offered, e.offeredAt, e.stage)
	}
}

// The requester of a dispatch that waited is reviewed before the offer. Each row is an event during
// the review.
func TestADispatchThatWaitedIsReviewedBeforeItsOffer(t *testing.T) {
	for name, tt := range map[string]struct {
		during  func(*harness, *store, *gate, *entry)
		offered bool
		phase   v1alpha1.DispatchPhase
		queued  int
		flight  int
	}{
		"the requester may":        {func(*harness, *store, *gate, *entry) {}, true, v1alpha1.DispatchQueued, 0, 1},
		"the requester may not":    {func(_ *harness, at *store, _ *gate, _ *entry) { at.allow = false }, false, v1alpha1.DispatchRejected, 0, 0},
		"the review fails":         {func(_ *harness, at *store, _ *gate, _ *entry) { at.reviewError = errTest }, false, v1alpha1.DispatchQueued, 1, 0},
		"the proof is lost":        {func(_ *harness, _ *store, g *gate, _ *entry) { g.err = errTest }, false, v1alpha1.DispatchQueued, 1, 0},
		"the Node is suspended":    {func(h *harness, _ *store, _ *gate, _ *entry) { h.node.Spec.DesiredState = v1alpha1.NodeSuspended }, false, v1alpha1.DispatchQueued, 1, 0},
		"the machine has a result": {func(_ *harness, _ *store, _ *gate, e *entry) { e.result = succeededResult() }, false, v1alpha1.DispatchSucceeded, 0, 0},
		"a result, and it may not": {func(_ *harness, at *store, _ *gate, e *entry) { e.result, at.allow = succeededResult(), false }, false, v1alpha1.DispatchSucceeded, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, gate := newHarness(c)
			at.allow = true
			d := newDispatch(c, v1alpha1.DispatchQueued)
			d.ResourceVersion, d.Spec.ExpirySeconds = "1", 3600
			e := h.addWaiting(d)
			c.Step(h.ReviewAfter)
			if h.run(h.offer); h.offersSent() != 0 || len(h.pending) != 1 {
				t.Fatalf("%d offers, %d requests before the review", h.offersSent(), len(h.pending))
			}
			tt.during(h, at, gate, e)
			h.runPending()
			if h.offersSent() == 1 != tt.offered || at.dispatch.Status.Phase != tt.phase || h.queue.len() != tt.queued || len(h.inFlight) != tt.flight {
				t.Errorf("%d offers, phase %s, %d queued, %d in flight, want offered %t, %s, %d, %d",
					h.offersSent(), at.dispatch.Status.Phase, h.queue.len(), len(h.inFlight), tt.offered, tt.phase, tt.queued, tt.flight)
			}
		})
	}
}

func TestAReviewIsDueFromTheAgeOfReviewAfter(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	for after, want := range map[time.Duration]bool{0: false, h.ReviewAfter - 1: false, h.ReviewAfter: true} {
		if got := h.ReviewDue(d, noon.Add(after)); got != want {
			t.Errorf("after %s a review is due: %t, want %t", after, got, want)
		}
	}
}

// A claim that takes longer than ReviewTTL needs another review before the offer.
func TestAReviewIsValidForReviewTTL(t *testing.T) {
	for claim, reviews := range map[time.Duration]int{ReviewTTL - 1: 1, ReviewTTL: 2} {
		c := newClock()
		h, at, _ := newHarness(c)
		at.allow = true
		d := newDispatch(c, v1alpha1.DispatchQueued)
		d.Spec.ExpirySeconds = 3600
		h.ClaimUntil(noon)
		h.addWaiting(d)
		c.Step(h.ReviewAfter)
		at.beforeWrite = func() { c.Step(claim) }
		h.run(h.offer)
		h.runPending()
		if at.reviews != reviews || h.offersSent() != 1 || at.dispatch.Status.Phase != v1alpha1.DispatchDispatched {
			t.Errorf("a claim of %s: %d reviews, %d offers, phase %s, want %d reviews", claim, at.reviews, h.offersSent(), at.dispatch.Status.Phase, reviews)
		}
	}
}

// A dispatch not younger than the session is claimed first. Each row is an obstacle to the claim.
func TestADispatchIsOfferedAfterItsClaimIsStored(t *testing.T) {
	for name, tt := range map[string]struct {
		meet    func(*store)
		offered bool
		phase   v1alpha1.DispatchPhase
		queued  int
	}{
		"nothing": {func(*store) {}, true, v1alpha1.DispatchDispatched, 0},
		"a cancellation": {func(at *store) {
			at.beforeWrite = func() {
				at.dispatch.Spec.Cancel, at.dispatch.ResourceVersion, at.beforeWrite = true, "2", nil
			}
		}, false, v1alpha1.DispatchCancelled, 0},
		"a refusal": {func(at *store) { at.refusal = apierrors.NewBadRequest("for the test") }, false, v1alpha1.DispatchQueued, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			h.ClaimUntil(noon)
			d := newDispatch(c, v1alpha1.DispatchQueued)
			d.ResourceVersion = "1"
			h.addWaiting(d)
			tt.meet(at)
			if h.run(h.offer); h.offersSent() != 0 {
				t.Error("the dispatch is offered before its claim")
			}
			h.runPending()
			if h.offersSent() == 1 != tt.offered || at.dispatch.Status.Phase != tt.phase || h.queue.len() != tt.queued {
				t.Errorf("%d offers, phase %s, %d queued", h.offersSent(), at.dispatch.Status.Phase, h.queue.len())
			}
		})
	}
}

// admit decides at once about an entry that was not offered, unless a request failed.
func TestAnEntryThatWasNotOfferedGoesBackToTheQueue(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		writes int
	}{"obstacle": {nil, 1}, "failure": {errTest, 0}} {
		c := newClock()
		h, _, _ := newHarness(c)
		d := newDispatch(c, v1alpha1.DispatchQueued)
		d.Spec.Cancel = true
		e := h.addStored(d, entry{})
		h.inFlight[d.UID], h.wakeAt = struct{}{}, noon.Add(time.Hour)
		h.run(func() { h.requeue(e, tt.err) })
		if len(h.pending) != tt.writes || h.queue.len() != 1-tt.writes || len(h.inFlight) != 0 || !h.wakeAt.Equal(noon.Add(blockedRetryInterval)) {
			t.Errorf("%s: %d writes, %d queued, %d in flight, the session wakes at %s", name, len(h.pending), h.queue.len(), len(h.inFlight), h.wakeAt)
		}
	}
}

// admit ends a dispatch that can never be offered, and does nothing after the end of the session.
func TestADispatchThatWasNotOfferedIsAdmitted(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*harness, *entry)
		queued  int
		writes  int
		settled bool
	}{
		"it waits":                      {func(*harness, *entry) {}, 1, 0, false},
		"it is cancelled":               {func(_ *harness, e *entry) { e.d.Spec.Cancel = true }, 0, 1, false},
		"it is cancelled, then refused": {func(_ *harness, e *entry) { e.d.Spec.Cancel, e.retryAt = true, noon.Add(time.Second) }, 1, 0, false},
		"another process ended it":      {func(_ *harness, e *entry) { e.d.Status.Phase = v1alpha1.DispatchFailed }, 0, 0, true},
		"the session has ended":         {func(h *harness, e *entry) { e.d.Spec.Cancel, h.ended = true, true }, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, _ := newHarness(c)
			e := h.addStored(newDispatch(c, v1alpha1.DispatchQueued), entry{})
			tt.change(h, e)
			h.run(func() { h.admit(e) })
			if h.queue.len() != tt.queued || len(h.pending) != tt.writes || e.settled != tt.settled {
				t.Errorf("%d queued, %d writes, settled %t", h.queue.len(), len(h.pending), e.settled)
			}
		})
	}
}

// offer also ends the dispatches that can never be offered, and goes on with the next one.
func TestADispatchThatCannotBeOfferedDoesNotHoldBackTheNext(t *testing.T) {
	for name, change := range map[string]func(*harness, *v1alpha1.CapabilityDispatch){
		"cancelled":     func(_ *harness, d *v1alpha1.CapabilityDispatch) { d.Spec.Cancel = true },
		"invalid input": func(_ *harness, d *v1alpha1.CapabilityDispatch) { d.Spec.Input = &v1alpha1.JSON{Raw: []byte(`{}`)} },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			h.declared[0].InputSchema = &v1alpha1.JSON{Raw: []byte(`{"properties":{}}`)}
			first, next := newDispatch(c, v1alpha1.DispatchQueued), newDispatch(c, v1alpha1.DispatchQueued)
			next.CreationTimestamp, next.Spec.Input = metav1.NewTime(noon.Add(time.Second)), &v1alpha1.JSON{Raw: []byte(`{"a":1}`)}
			change(h, first)
			h.CheckInput = func(_, input []byte) error {
				if string(input) == `{}` {
					return errors.New("missing property 'a'")
				}
				return nil
			}
			h.queue.add(h.add(&entry{d: next}))
			h.addWaiting(first)
			h.run(h.offer)
			h.runPending()
			if h.offersSent() != 1 || h.sent()[0].GetOffer().GetDispatch().GetUid() != string(next.UID) || !dispatch.Finished(at.dispatch.Status) || h.queue.len() != 0 {
				t.Errorf("sent %v, phase of the first %s, %d wait", h.sent(), at.dispatch.Status.Phase, h.queue.len())
			}
		})
	}
}
