package session

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// isStopped reports whether the session was stopped.
func (s *session) isStopped() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// mediatedEntry adds a dispatch to the session about which a person was asked.
func (s *session) mediatedEntry(at *store, c *clocktesting.FakeClock) *entry {
	d := newDispatch(s, c, v1alpha1.DispatchQueued)
	d.ResourceVersion, d.Spec.ExpirySeconds = "1", 3600
	d.Status = dispatch.MarkAwaitingMediation(d.Status, "ada", c.Now(), "gw", c.Now())
	return s.addStored(at, d, entry{offered: true, accepted: true, acceptedAt: c.Now(), approvalRequest: &approvalRequest{user: "ada"}, stage: stageAsk})
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
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			e := s.mediatedEntry(at, c)
			s.clearanceSupported, e.review = tt.clearing, dispatch.ReviewMissing
			if tt.suspended {
				s.node.Spec.DesiredState = v1alpha1.NodeSuspended
			}
			s.updateClearance(t.Context(), e)
			s.runPending(t.Context())
			reason := ""
			if w := dispatch.WithdrawnCondition(at.dispatch.Status); w != nil {
				reason = w.Reason
			}
			if holdSent := len(s.sent()) > 0 && s.sent()[0].GetClearance() != nil; holdSent != tt.held || (reason == v1alpha1.ReasonNodeSuspended) != tt.withdrawn || e.cancelSent != tt.withdrawn {
				t.Errorf("sent %v, withdrawn for %q", s.sent(), reason)
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
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			e := s.mediatedEntry(at, c)
			tt.change(e.d)
			at.dispatch = e.d.DeepCopy()
			s.withdraw(t.Context(), e, "Why", "because")
			s.runPending(t.Context())
			if at.writes != tt.writes {
				t.Errorf("%d writes, want %d", at.writes, tt.writes)
			}
		})
	}
}

// The requester's right is reviewed again before a dispatch that waited is cleared.
func TestAYesOfARequesterWithoutTheRightIsWithdrawn(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, _ := newStoreSession(c)
	e := s.mediatedEntry(at, c)
	s.clearanceSupported, e.approved = true, true
	c.Step(s.service.ReviewAfter)
	s.service.lease.renewed = c.Now()
	s.updateClearance(t.Context(), e)
	s.runPending(t.Context())
	if w := dispatch.WithdrawnCondition(at.dispatch.Status); w == nil || w.Reason != v1alpha1.ErrorNoLongerAllowed || e.stage == stageStart {
		t.Errorf("withdrawn for %v, stage %s", w, e.stage)
	}
}

// A failed check of the rights is repeated after blockedRetryInterval.
func TestAClearanceThatFailsIsTriedAgain(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s, at, gate := newStoreSession(c)
	e := s.mediatedEntry(at, c)
	s.clearanceSupported, e.approved, gate.err, s.wakeAt = true, true, errTest, noon.Add(time.Hour)
	s.updateClearance(t.Context(), e)
	s.runPending(t.Context())
	if next := noon.Add(blockedRetryInterval); e.stage != stageAsk || e.busy || !e.recheckAt.Equal(next) || !s.wakeAt.Equal(next) {
		t.Errorf("stage %s, busy %t, next check at %s, the session wakes at %s, want %s", e.stage, e.busy, e.recheckAt, s.wakeAt, next)
	}
	gate.err = nil
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{blockedRetryInterval - 1, false}, {blockedRetryInterval, true}} {
		c.SetTime(noon.Add(tt.after))
		s.service.lease.renewed = c.Now()
		s.updateClearance(t.Context(), e)
		s.runPending(t.Context())
		if cleared := e.stage == stageStart; cleared != tt.want {
			t.Errorf("cleared %t after %s, want %t", cleared, tt.after, tt.want)
		}
	}
}

// The run time counts from the clearance to start, not from the request for approval.
func TestTheRunTimeCountsFromTheClearanceToStart(t *testing.T) {
	for name, yes := range map[string]bool{"asked": false, "started": true} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			e := s.mediatedEntry(at, c)
			s.clearanceSupported, e.approved, e.stage = true, yes, 0
			c.Step(time.Second)
			s.updateClearance(t.Context(), e)
			s.runPending(t.Context())
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

// A machine that is not authorized any more first confirms that a mediated dispatch did not start.
func TestARefusedMachineConfirmsCancellationsFirst(t *testing.T) {
	for name, tt := range map[string]struct {
		change    func(*v1alpha1.Node)
		cancelled bool
	}{
		"revoked":               {func(n *v1alpha1.Node) { n.Spec.DesiredState = v1alpha1.NodeRevoked }, true},
		"pinned to another key": {func(n *v1alpha1.Node) { n.Spec.PublicKeySHA256 = "other" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at, _ := newStoreSession(c)
			e := s.mediatedEntry(at, c)
			tt.change(s.node)
			s.stopUnauthorized(t.Context(), authorize(s.node, s.caller))
			if e.cancelSent != tt.cancelled || s.isStopped() == tt.cancelled {
				t.Fatalf("cancelled %t, stopped %t", e.cancelSent, s.isStopped())
			}
			if !tt.cancelled {
				return
			}
			c.Step(confirmationGrace - 1)
			if s.stopWhenConfirmed(); s.isStopped() {
				t.Error("the session ends before revokeGrace has passed")
			}
			c.Step(1)
			if s.stopWhenConfirmed(); !s.isStopped() {
				t.Error("the session does not end after revokeGrace")
			}
		})
	}
}
