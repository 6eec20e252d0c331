package session

import (
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// offersSent returns the number of sent offers.
func (s *session) offersSent() (n int) {
	for _, m := range s.sent() {
		if m.GetOffer() != nil {
			n++
		}
	}
	return n
}

func TestTheWindowIsFilledAndNoMore(t *testing.T) {
	for _, tt := range []struct {
		maxInFlight int32
		offers      int
	}{{0, 1}, {1, 1}, {3, 3}, {9, 5}} {
		c := clocktesting.NewFakeClock(noon.Time)
		s, _, gate := newStoreSession(c)
		s.node.Spec.MaxInFlight = tt.maxInFlight
		for range 5 {
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			e := &entry{d: d}
			s.entries[d.UID] = e
			s.queue.add(e)
		}
		if s.offer(t.Context()); s.offersSent() != tt.offers || len(s.inFlight) != tt.offers || s.queue.len() != 5-tt.offers {
			t.Errorf("maxInFlight %d: %d offers, %d in flight, %d wait, want %d offers", tt.maxInFlight, s.offersSent(), len(s.inFlight), s.queue.len(), tt.offers)
		}
		if gate.err, s.wakeAt = errTest, noon.Add(time.Hour); s.queue.len() > 0 {
			if s.offer(t.Context()); !s.wakeAt.Equal(noon.Add(time.Hour)) {
				t.Error("a session with a full window sets an alarm to retry offers")
			}
		}
	}
}

func TestBeyondMaxQueuedTheNewestAreRefused(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, _, _ := newStoreSession(c)
	s.service.MaxQueued = 2
	s.inFlight["another"] = struct{}{}
	for i := range 3 {
		d := newDispatch(s, c, v1alpha1.DispatchQueued)
		d.CreationTimestamp = metav1.NewTime(noon.Add(time.Duration(i) * time.Second))
		s.entries[d.UID] = &entry{d: d}
		s.queue.add(s.entries[d.UID])
	}
	newest := s.queue.newest(1)[0]
	s.offer(t.Context())
	if s.queue.len() != 2 || !newest.busy || len(s.pending) != 1 {
		t.Errorf("%d wait, %d writes, the newest is refused: %t", s.queue.len(), len(s.pending), newest.busy)
	}
}

func TestAnOfferCarriesTheBoundOfItsOutput(t *testing.T) {
	for spec, want := range map[int32]uint32{-1: 0, 0: 0, 7: 7} {
		c := clocktesting.NewFakeClock(noon.Time)
		s, _, _ := newStoreSession(c)
		d := newDispatch(s, c, v1alpha1.DispatchQueued)
		d.Spec.MaxPayloadBytes = spec
		s.sendOffer(&entry{d: d})
		if got := s.sent()[0].GetOffer().GetMaxPayloadBytes(); got != want {
			t.Errorf("spec.maxPayloadBytes %d is offered as %d, want %d", spec, got, want)
		}
	}
}

// The requester of a dispatch that waited is reviewed before the offer. Each row is an event during
// the review.
func TestADispatchThatWaitedIsReviewedBeforeItsOffer(t *testing.T) {
	for name, tt := range map[string]struct {
		during  func(*session, *store, *openGate, *entry)
		offered bool
		phase   v1alpha1.DispatchPhase
		queued  int
		flight  int
	}{
		"the requester may":        {func(*session, *store, *openGate, *entry) {}, true, v1alpha1.DispatchQueued, 0, 1},
		"the requester may not":    {func(_ *session, at *store, _ *openGate, _ *entry) { at.allow = nil }, false, v1alpha1.DispatchRejected, 0, 0},
		"the review fails":         {func(_ *session, at *store, _ *openGate, _ *entry) { at.reviewError = errTest }, false, v1alpha1.DispatchQueued, 1, 0},
		"the proof is lost":        {func(_ *session, _ *store, g *openGate, _ *entry) { g.err = errTest }, false, v1alpha1.DispatchQueued, 1, 0},
		"the Node is suspended":    {func(s *session, _ *store, _ *openGate, _ *entry) { s.node.Spec.DesiredState = v1alpha1.NodeSuspended }, false, v1alpha1.DispatchQueued, 1, 0},
		"the machine has a result": {func(s *session, _ *store, _ *openGate, e *entry) { e.result = succeededResult() }, false, v1alpha1.DispatchSucceeded, 0, 0},
		"a result, and it may not": {func(s *session, at *store, _ *openGate, e *entry) { e.result, at.allow = succeededResult(), nil }, false, v1alpha1.DispatchSucceeded, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, gate := newStoreSession(c)
			at.allow = func(authorizationv1.SubjectAccessReviewSpec) bool { return true }
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.ResourceVersion, d.Spec.ExpirySeconds = "1", 3600
			e := s.addStored(at, d, entry{})
			s.queue.add(e)
			c.Step(s.service.ReviewAfter)
			s.service.lease.renewed = c.Now()
			if s.offer(t.Context()); s.offersSent() != 0 || len(s.pending) != 1 {
				t.Fatalf("%d offers, %d requests before the review", s.offersSent(), len(s.pending))
			}
			tt.during(s, at, gate, e)
			s.runPending(t.Context())
			if s.offersSent() == 1 != tt.offered || at.dispatch.Status.Phase != tt.phase || s.queue.len() != tt.queued || len(s.inFlight) != tt.flight {
				t.Errorf("%d offers, phase %s, %d queued, %d in flight, want offered %t, %s, %d, %d",
					s.offersSent(), at.dispatch.Status.Phase, s.queue.len(), len(s.inFlight), tt.offered, tt.phase, tt.queued, tt.flight)
			}
		})
	}
}

func succeededResult() *dispatch.Result {
	return &dispatch.Result{Outcome: v1alpha1.DispatchSucceeded, Execution: v1alpha1.ExecutionFinished, Output: []byte(`1`)}
}

// A dispatch not younger than the session is claimed first. Each row is an obstacle to the claim.
func TestADispatchIsOfferedAfterItsClaimIsStored(t *testing.T) {
	conflict := apierrors.NewConflict(v1alpha1.Resource("capabilitydispatches"), "d", errTest)
	for name, tt := range map[string]struct {
		meet    func(*store)
		offered bool
		phase   v1alpha1.DispatchPhase
		queued  int
	}{
		"nothing": {func(*store) {}, true, v1alpha1.DispatchDispatched, 0},
		"a cancellation": {func(at *store) {
			at.refusal = conflict
			at.beforeWrite = func() {
				at.dispatch.Spec.Cancel, at.dispatch.ResourceVersion, at.beforeWrite = true, "2", func() { at.refusal = nil }
			}
		}, false, v1alpha1.DispatchCancelled, 0},
		"a refusal": {func(at *store) { at.refusal = apierrors.NewBadRequest("for the test") }, false, v1alpha1.DispatchQueued, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			s.noClaimAfter = noon
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			d.ResourceVersion = "1"
			s.queue.add(s.addStored(at, d, entry{}))
			tt.meet(at)
			s.offer(t.Context())
			s.runPending(t.Context())
			if s.offersSent() == 1 != tt.offered || at.dispatch.Status.Phase != tt.phase || s.queue.len() != tt.queued {
				t.Errorf("%d offers, phase %s, %d queued", s.offersSent(), at.dispatch.Status.Phase, s.queue.len())
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
		c := clocktesting.NewFakeClock(noon.Time)
		s, at, _ := newStoreSession(c)
		d := newDispatch(s, c, v1alpha1.DispatchQueued)
		d.Spec.Cancel = true
		e := s.addStored(at, d, entry{})
		s.inFlight[d.UID], s.wakeAt = struct{}{}, noon.Add(time.Hour)
		s.requeue(t.Context(), e, tt.err)
		if len(s.pending) != tt.writes || s.queue.len() != 1-tt.writes || len(s.inFlight) != 0 || !s.wakeAt.Equal(noon.Add(blockedRetryInterval)) {
			t.Errorf("%s: %d writes, %d queued, %d in flight, the session wakes at %s", name, len(s.pending), s.queue.len(), len(s.inFlight), s.wakeAt)
		}
	}
}

// An invalid input ends a dispatch unless another rule ends or keeps the dispatch.
func TestAnInputThatDoesNotFitEndsOnlyWhatWouldBeOffered(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*v1alpha1.CapabilityDispatch, *v1alpha1.Node)
		code   string // empty if no status is written
	}{
		"it would be offered": {func(*v1alpha1.CapabilityDispatch, *v1alpha1.Node) {}, v1alpha1.ErrorInvalidInput},
		"cancelled":           {func(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node) { d.Spec.Cancel = true }, v1alpha1.ErrorCancelled},
		"it waits":            {func(_ *v1alpha1.CapabilityDispatch, n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeSuspended }, ""},
	} {
		c := clocktesting.NewFakeClock(noon.Time)
		s, _, _ := newStoreSession(c)
		d := newDispatch(s, c, v1alpha1.DispatchQueued)
		tt.change(d, s.node)
		status, write := s.rejectInput("why")(d, s.node, c.Now())
		code := ""
		if status.Error != nil {
			code = status.Error.Code
		}
		if code != tt.code || write != (tt.code != "") {
			t.Errorf("%s: %q, written %t, want %q", name, code, write, tt.code)
		}
	}
}

func TestARefusedWriteWaitsLongerEachTime(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	e := &entry{d: newDispatch(s, c, v1alpha1.DispatchQueued)}
	for i, want := range []time.Duration{2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30} {
		s.wakeAt = noon.Add(time.Hour)
		s.postpone(e)
		if at := noon.Add(want * time.Second); !e.retryAt.Equal(at) || !s.wakeAt.Equal(at) || e.refusals != i+1 {
			t.Errorf("after %d refusals the dispatch waits until %s, the session wakes at %s, want %s", e.refusals, e.retryAt, s.wakeAt, at)
		}
	}
	e.refusals = 1000
	if s.postpone(e); !e.retryAt.Equal(noon.Add(maxRetry)) {
		t.Errorf("after %d refusals the dispatch waits until %s", e.refusals, e.retryAt)
	}
	if c.Step(maxRetry - 1); !s.postponed(e) {
		t.Error("the write is tried again too early")
	}
	if c.Step(1); s.postponed(e) {
		t.Error("the write is not tried again after maxRetry")
	}
}
