package dispatchtable

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// mediatedEntry adds a dispatch about which a person was asked.
func (h *harness) mediatedEntry() *entry {
	d := newDispatch(h.clock, v1alpha1.DispatchQueued)
	d.ResourceVersion, d.Spec.ExpirySeconds = "1", 3600
	d.Status = dispatch.MarkAwaitingMediation(d.Status, "ada", h.clock.Now(), "gw", h.clock.Now())
	return h.addStored(d, entry{offered: true, accepted: true, acceptedAt: h.clock.Now(), approvalRequest: &approvalRequest{user: "ada"}, stage: stageAsk})
}

// startCleared reports whether the machine was sent the clearance to start.
func (h *harness) startCleared() bool {
	return slices.ContainsFunc(h.sent(), func(m *gatewayv1.StreamNodeEventsResponse) bool {
		return m.GetClearance().GetStage() == stageStart
	})
}

// clearStep updates the clearance of e and runs the jobs.
func (h *harness) clearStep(e *entry) {
	h.run(func() { h.updateClearance(e) })
	h.runPending()
}

// An approved dispatch is cleared only if its rights still hold after the response of the API
// server.
func TestAYesIsClearedOnlyWithTheRightsOfThisMoment(t *testing.T) {
	for name, tt := range map[string]struct {
		lose  func(*store, *gate)
		clear bool
	}{
		"nothing is lost":      {func(*store, *gate) {}, true},
		"suspended meanwhile":  {func(at *store, _ *gate) { at.node.Spec.DesiredState = v1alpha1.NodeSuspended }, false},
		"disproved meanwhile":  {func(_ *store, g *gate) { g.err = errTest }, false},
		"taken over meanwhile": {func(at *store, _ *gate) { at.node.Status.SessionID = "newer" }, false},
		"unreadable meanwhile": {func(at *store, _ *gate) { at.nodeError = errTest }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, gate := newHarness(c)
			h.session.ClearanceSupported = true
			e := h.addStored(newDispatch(c, v1alpha1.DispatchAwaitingLocalMediation),
				entry{offered: true, accepted: true, approvalRequest: &approvalRequest{user: "ada"}, approved: true, stage: stageAsk})
			tt.lose(at, gate)
			at.node.ResourceVersion = "2"
			h.clearStep(e)
			if cleared := h.startCleared(); cleared != tt.clear {
				t.Errorf("sent %v, want a clearance to start: %t", h.sent(), tt.clear)
			}
		})
	}
}

// Clear decides from the Node that the session applied after the recheck. Each row is a change
// between the recheck and Clear.
func TestAStepIsClearedOnlyByTheRecordedSessionAndForTheSameStage(t *testing.T) {
	for name, tt := range map[string]struct {
		approved bool // when the recheck starts
		change   func(*harness, *entry)
		want     gatewayv1.Clearance_Stage
	}{
		"nothing, asked":          {false, func(*harness, *entry) {}, stageAsk},
		"nothing, approved":       {true, func(*harness, *entry) {}, stageStart},
		"another session":         {true, func(h *harness, _ *entry) { h.node.Status.SessionID = "newer" }, 0},
		"a session taken as lost": {true, func(h *harness, _ *entry) { h.node.Status.SessionEndedTime = &metav1.Time{Time: noon.Time} }, 0},
		"approved meanwhile":      {false, func(_ *harness, e *entry) { e.approved = true }, 0},
		"a result":                {true, func(_ *harness, e *entry) { e.result = succeededResult() }, 0},
		"another job":             {true, func(_ *harness, e *entry) { e.busy = true }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, _ := newHarness(c)
			h.session.ClearanceSupported = true
			e := h.mediatedEntry()
			e.approved, e.stage = tt.approved, 0
			h.run(func() { h.advance(e) })
			job, ok := h.pending[0].(*Recheck)
			if !ok || job.Dispatch != e.d || !e.busy {
				t.Fatalf("%d jobs, the first is %+v", len(h.pending), h.pending[0])
			}
			h.FinishRecheck(job, dispatch.ReviewNotDue, nil)
			tt.change(h, e)
			h.do(h.Clear(h.snapshot(), job, nil))
			if e.stage != tt.want || len(h.sent()) > 0 != (tt.want != 0) {
				t.Errorf("stage %s, sent %v, want %s", e.stage, h.sent(), tt.want)
			}
		})
	}
}

// An agent that waits for clearances is sent HOLD. An older agent would start after an approval.
func TestAMediatedDispatchIsHeldOrWithdrawnWhileItMayNotRun(t *testing.T) {
	for name, tt := range map[string]struct {
		clearing, suspended bool
		held, withdrawn     bool
	}{
		"the agent waits, the Node is suspended":     {true, true, true, false},
		"the agent waits, the right is not reviewed": {true, false, true, false},
		"an older agent, the Node is suspended":      {false, true, false, true},
		"an older agent, the right is not reviewed":  {false, false, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			e := h.mediatedEntry()
			h.session.ClearanceSupported, e.review = tt.clearing, dispatch.ReviewMissing
			if tt.suspended {
				h.node.Spec.DesiredState = v1alpha1.NodeSuspended
			}
			h.clearStep(e)
			reason := ""
			if w := dispatch.WithdrawnCondition(at.dispatch.Status); w != nil {
				reason = w.Reason
			}
			if holdSent := len(h.sent()) > 0 && h.sent()[0].GetClearance() != nil; holdSent != tt.held || (reason == v1alpha1.ReasonNodeSuspended) != tt.withdrawn || e.cancelSent != tt.withdrawn {
				t.Errorf("sent %v, withdrawn for %q", h.sent(), reason)
			}
			sent := len(h.sent())
			if h.run(func() { h.updateClearance(e) }); len(h.sent()) != sent || len(h.pending) != 0 {
				t.Errorf("the same facts cause %v and %d jobs again", h.sent()[sent:], len(h.pending))
			}
		})
	}
}

func TestADispatchIsWithdrawnOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*v1alpha1.CapabilityDispatch)
		writes int
	}{
		"under way": {func(*v1alpha1.CapabilityDispatch) {}, 1},
		"withdrawn already": {func(d *v1alpha1.CapabilityDispatch) {
			d.Status = dispatch.Withdraw(d.Status, "Why", "", "gw", noon.Time)
		}, 0},
		"ended": {func(d *v1alpha1.CapabilityDispatch) { d.Status.Phase = v1alpha1.DispatchFailed }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			e := h.mediatedEntry()
			tt.change(e.d)
			at.dispatch = e.d.DeepCopy()
			h.run(func() { h.withdraw(e, "Why", "because") })
			h.runPending()
			if at.writes != tt.writes {
				t.Errorf("%d writes, want %d", at.writes, tt.writes)
			}
		})
	}
}

// A dispatch that another gateway withdrew, or that may not run any more, is cancelled on its
// machine before the machine accepts it.
func TestAnOfferedDispatchThatMayNotRunIsCancelledOnItsMachine(t *testing.T) {
	for name, tt := range map[string]struct {
		change    func(*harness, *entry)
		cancelled bool
		writes    int
	}{
		"it may run":  {func(*harness, *entry) {}, false, 0},
		"not granted": {func(h *harness, _ *entry) { h.node.Spec.CapabilityPolicy.Allow = nil }, true, 1},
		"not granted, accepted": {func(h *harness, e *entry) {
			h.node.Spec.CapabilityPolicy.Allow, e.accepted = nil, true
		}, false, 0},
		"withdrawn by another process": {func(_ *harness, e *entry) {
			e.d.Status, e.accepted = dispatch.Withdraw(e.d.Status, "Why", "", "gw", noon.Time), true
		}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, _ := newHarness(c)
			d := newDispatch(c, v1alpha1.DispatchDispatched)
			e := h.addStored(d, entry{offered: true})
			tt.change(h, e)
			h.clearStep(e)
			if e.cancelSent != tt.cancelled || h.cancelSent() != tt.cancelled || at.writes != tt.writes {
				t.Errorf("sent %v, %d writes", h.sent(), at.writes)
			}
		})
	}
}

// The requester's right is reviewed again before a dispatch that waited is cleared.
func TestAYesOfARequesterWithoutTheRightIsWithdrawn(t *testing.T) {
	c := newClock()
	h, at, _ := newHarness(c)
	e := h.mediatedEntry()
	h.session.ClearanceSupported, e.approved = true, true
	c.Step(h.ReviewAfter)
	h.clearStep(e)
	if w := dispatch.WithdrawnCondition(at.dispatch.Status); w == nil || w.Reason != v1alpha1.ErrorNoLongerAllowed || e.stage == stageStart {
		t.Errorf("withdrawn for %v, stage %s", w, e.stage)
	}
	if at.reviews != 1 {
		t.Errorf("%d reviews, want 1", at.reviews)
	}
}

// A failed check of the rights is repeated after blockedRetryInterval.
func TestAClearanceThatFailsIsTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(*store, *gate, error){
		"blocked offers":  func(_ *store, g *gate, err error) { g.err = err },
		"a failed read":   func(at *store, _ *gate, err error) { at.nodeError = err },
		"a failed review": func(at *store, _ *gate, err error) { at.reviewError = err },
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, at, gate := newHarness(c)
			e := h.mediatedEntry()
			at.allow, e.d.CreationTimestamp = true, metav1.NewTime(noon.Add(-h.ReviewAfter))
			fail(at, gate, errTest)
			h.session.ClearanceSupported, e.approved, h.wakeAt = true, true, noon.Add(time.Hour)
			h.clearStep(e)
			if next := noon.Add(blockedRetryInterval); e.stage != stageAsk || e.busy || !e.recheckAt.Equal(next) || !h.wakeAt.Equal(next) {
				t.Errorf("stage %s, busy %t, next check at %s, the session wakes at %s, want %s", e.stage, e.busy, e.recheckAt, h.wakeAt, next)
			}
			fail(at, gate, nil)
			for _, tt := range []struct {
				after time.Duration
				want  bool
			}{{blockedRetryInterval - 1, false}, {blockedRetryInterval, true}} {
				c.SetTime(noon.Add(tt.after))
				h.clearStep(e)
				if cleared := e.stage == stageStart; cleared != tt.want {
					t.Errorf("cleared %t after %s, want %t", cleared, tt.after, tt.want)
				}
			}
		})
	}
}

// A failed recheck keeps the last review.
func TestAFailedRecheckKeepsTheReview(t *testing.T) {
	for err, want := range map[error]dispatch.Review{nil: dispatch.ReviewPassed, errTest: dispatch.ReviewRefused} {
		h, _, _ := newHarness(newClock())
		e := &entry{busy: true, review: dispatch.ReviewRefused, recheckAt: noon.Time}
		h.FinishRecheck(&Recheck{entry: e}, dispatch.ReviewPassed, err)
		if e.review != want || e.busy || !e.recheckAt.IsZero() {
			t.Errorf("error %v: review %v, busy %t, next check at %s", err, e.review, e.busy, e.recheckAt)
		}
	}
}

// The run time counts from the clearance to start, not from the request for approval.
func TestTheRunTimeCountsFromTheClearanceToStart(t *testing.T) {
	for name, yes := range map[string]bool{"asked": false, "started": true} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			h, _, _ := newHarness(c)
			e := h.mediatedEntry()
			h.session.ClearanceSupported, e.approved, e.stage = true, yes, 0
			c.Step(time.Second)
			h.clearStep(e)
			want, stage := noon.Time, stageAsk
			if yes {
				want, stage = c.Now(), stageStart
			}
			if !e.acceptedAt.Equal(want) || e.stage != stage {
				t.Errorf("the time counts from %s, stage %s, want %s, %s", e.acceptedAt, e.stage, want, stage)
			}
		})
	}
}

// An agent that does not wait for clearances is sent none, but the stage counts for the run time.
func TestAnOlderAgentIsSentNoClearance(t *testing.T) {
	h, _, _ := newHarness(newClock())
	e := h.mediatedEntry()
	e.approved = true
	h.clearStep(e)
	if e.stage != stageStart || len(h.sent()) != 0 {
		t.Errorf("stage %s, sent %v", e.stage, h.sent())
	}
}

// A machine that is not authorized any more first confirms that a mediated dispatch did not start.
func TestMediatedDispatchesOfARevokedNodeAreWithdrawn(t *testing.T) {
	for name, tt := range map[string]struct {
		change    func(*harness, *entry)
		withdrawn bool
		awaits    bool // before the result arrives
	}{
		"revoked":              {func(*harness, *entry) {}, true, true},
		"not revoked":          {func(h *harness, _ *entry) { h.node.Spec.DesiredState = "" }, false, false},
		"not mediated":         {func(_ *harness, e *entry) { e.approvalRequest = nil }, false, false},
		"busy":                 {func(_ *harness, e *entry) { e.busy = true }, false, false},
		"cancelled before":     {func(_ *harness, e *entry) { e.cancelSent = true }, false, true},
		"started by clearance": {func(_ *harness, e *entry) { e.approved, e.stage = true, stageStart }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, _ := newHarness(newClock())
			e := h.mediatedEntry()
			h.node.Spec.DesiredState, h.draining = v1alpha1.NodeRevoked, true
			tt.change(h, e)
			h.do(h.WithdrawMediated(h.snapshot()))
			if (len(h.pending) == 1) != tt.withdrawn || h.cancelSent() != tt.withdrawn || h.AwaitsConfirmation() != tt.awaits {
				t.Errorf("%d writes, sent %v, awaits a confirmation: %t", len(h.pending), h.sent(), h.AwaitsConfirmation())
			}
			if h.report(&gatewayv1.Result{Dispatch: RefOf(e.d), Outcome: gatewayv1.Result_OUTCOME_CANCELLED}); h.AwaitsConfirmation() {
				t.Error("the result confirms nothing")
			}
		})
	}
}
