package dispatchtable

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// journalOf returns a journal that holds d.
func journalOf(d *v1alpha1.CapabilityDispatch, state gatewayv1.UnsettledDispatch_State) map[types.UID]*gatewayv1.UnsettledDispatch {
	return map[types.UID]*gatewayv1.UnsettledDispatch{d.UID: {Dispatch: RefOf(d), State: state}}
}

func TestTheEntriesOfASessionFollowTheJournal(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	queued, accepted, running := newDispatch(c, v1alpha1.DispatchQueued), newDispatch(c, v1alpha1.DispatchDispatched), newDispatch(c, v1alpha1.DispatchDispatched)
	h.add(&entry{d: newDispatch(c, v1alpha1.DispatchQueued)}) // of an attempt before
	h.inFlight["of an attempt before"] = struct{}{}
	h.Load(h.snapshot(), []*v1alpha1.CapabilityDispatch{queued, accepted, running}, map[types.UID]*gatewayv1.UnsettledDispatch{
		accepted.UID: {State: gatewayv1.UnsettledDispatch_STATE_ACCEPTED}, running.UID: {State: gatewayv1.UnsettledDispatch_STATE_RUNNING},
	})
	if len(h.entries) != 3 || h.queue.len() != 1 || len(h.inFlight) != 2 {
		t.Fatalf("%d entries, %d wait, %d in flight", len(h.entries), h.queue.len(), len(h.inFlight))
	}
	if e := h.entries[queued.UID]; e.offered || e.accepted {
		t.Error("a dispatch that the machine does not know is offered")
	}
	for d, stage := range map[*v1alpha1.CapabilityDispatch]gatewayv1.Clearance_Stage{accepted: 0, running: stageStart} {
		if e := h.entries[d.UID]; !e.offered || !e.accepted || e.stage != stage || !e.offeredAt.Equal(c.local) || !e.acceptedAt.Equal(c.server) {
			t.Errorf("offered %t, accepted %t, stage %s, want %s", e.offered, e.accepted, e.stage, stage)
		}
	}
	if !h.Has(queued.UID) || h.Has("unknown") {
		t.Error("Has does not follow the entries")
	}
}

func TestRecalledDispatchIsForgottenAfterAWhile(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchTimedOut)
	e := h.add(&entry{d: d, offered: true, accepted: true, leftWatch: true})
	h.inFlight[d.UID] = struct{}{}
	h.do(h.Tick(h.snapshot()))
	if !e.cancelSent || len(h.inFlight) != 0 || h.entries[d.UID] == nil {
		t.Fatalf("cancelled %t, %d in flight, known %t: want it recalled and known", e.cancelSent, len(h.inFlight), h.entries[d.UID] != nil)
	}
	c.Step(settledTTL)
	h.do(h.Tick(h.snapshot()))
	if h.entries[d.UID] == nil {
		t.Error("the entry was deleted too early")
	}
	c.Step(time.Second)
	h.do(h.Tick(h.snapshot()))
	if h.entries[d.UID] != nil {
		t.Error("the entry is never deleted")
	}
	h.report(&gatewayv1.Result{Dispatch: RefOf(d), Outcome: gatewayv1.Result_OUTCOME_SUCCEEDED})
	if len(h.pending) != 1 {
		t.Errorf("the late result starts %d reads, want 1", len(h.pending))
	}
}

// A tick ends the dispatches that expired, and offers the others.
func TestATickConsidersEveryDispatch(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	young := newDispatch(c, v1alpha1.DispatchQueued)
	young.Spec.ExpirySeconds = 3600
	h.addWaiting(young)
	old := h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued))
	h.ReviewAfter = time.Hour
	c.Step(time.Minute)
	h.do(h.Tick(h.snapshot()))
	h.runPending()
	if e := at.dispatch.Status.Error; !old.settled || e == nil || e.Code != v1alpha1.ErrorExpired || h.offersSent() != 1 {
		t.Errorf("settled %t with %+v, %d offers", old.settled, e, h.offersSent())
	}
}

// The session calls ApplyNode only if the spec of the Node changed.
func TestANewSpecOfTheNodeIsAppliedToWhatWaits(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	waiting, offered := h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued)), h.mediatedEntry()
	h.node.Spec.CapabilityPolicy.Allow = nil
	h.do(h.ApplyNode(h.snapshot()))
	if !waiting.busy || !offered.busy || len(h.pending) != 2 || !h.cancelSent() {
		t.Errorf("the waiting one is ended: %t, the offered one is withdrawn: %t", waiting.busy, offered.busy)
	}
}

func TestNewCapabilitiesAreAppliedToWhatWaits(t *testing.T) {
	for name, tt := range map[string]struct {
		declared []v1alpha1.NodeCapability
		offers   int
		code     string
	}{
		"the capability is available":   {[]v1alpha1.NodeCapability{{Name: "echo", Available: true}}, 1, ""},
		"the capability is not offered": {nil, 0, v1alpha1.ErrorUnknownCapability},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued))
			h.declared = tt.declared
			h.do(h.ApplyCapabilities(h.snapshot()))
			h.runPending()
			code := ErrorCode(&at.dispatch.Status)
			if h.offersSent() != tt.offers || code != tt.code {
				t.Errorf("%d offers, error %q", h.offersSent(), code)
			}
		})
	}
}

// A call returns its effects once and keeps nothing of its Snapshot.
func TestEffectsAreReturnedOnce(t *testing.T) {
	c := newClock()
	h, _, _ := newHarness(c)
	h.addWaiting(newDispatch(c, v1alpha1.DispatchQueued))
	if effects := h.Offer(h.snapshot()); len(effects.Messages) != 1 || effects.WakeAt.IsZero() {
		t.Errorf("effects %+v, want an offer and an alarm", effects)
	}
	if h.now.Node != nil || len(h.effects.Messages) != 0 {
		t.Error("the Table keeps the Snapshot or the effects")
	}
	if effects := h.Offer(h.snapshot()); len(effects.Messages) != 0 || len(effects.Jobs) != 0 {
		t.Errorf("effects %+v of the second call, want none", effects)
	}
}

// Expiries are in the API server's time. Alarms and waits are in the local time.
func TestTheClocksOfTheProcessAndOfTheAPIServerMayDiffer(t *testing.T) {
	c := newClock()
	c.server = noon.Add(time.Hour)
	h, at, _ := newHarness(c)
	d := newDispatch(c, v1alpha1.DispatchQueued)
	e := h.addWaiting(d)
	h.do(h.Upsert(h.snapshot(), d))
	if !h.wakeAt.Equal(noon.Add(time.Minute)) {
		t.Errorf("the session wakes after %s, want when the dispatch expires", h.wakeAt.Sub(noon.Time))
	}
	h.do(h.Offer(h.snapshot()))
	h.receive(acceptedOf(d))
	if !e.offeredAt.Equal(noon.Time) || !e.acceptedAt.Equal(c.server) {
		t.Errorf("offered at %s, accepted at %s", e.offeredAt, e.acceptedAt)
	}
	c.Step(h.DispatchedDelay)
	h.do(h.Tick(h.snapshot()))
	h.runPending()
	if !dispatch.Accepted(at.dispatch.Status) || at.dispatch.Status.DispatchedTime.Time.Before(noon.Add(time.Hour)) {
		t.Errorf("status %+v", at.dispatch.Status)
	}
}
