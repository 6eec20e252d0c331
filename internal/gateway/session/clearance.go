package session

import (
	"context"
	"slices"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// confirmationGrace is the time that a machine whose Node was revoked gets to confirm the
// cancellation of the dispatches that a person is asked about.
const confirmationGrace = time.Second

// supportsClearance reports whether the agent that sent the Hello waits for clearances.
func supportsClearance(hello *gatewayv1.Hello) bool {
	return slices.Contains(hello.GetFeatures(), gatewayv1.Feature_FEATURE_CLEARANCE)
}

// inMediation reports whether a person at the machine is asked about the dispatch and the dispatch
// is not cleared to start yet.
func (e *entry) inMediation() bool {
	return (e.approvalRequest != nil || e.approved) && e.stage != gatewayv1.Clearance_STAGE_START && e.result == nil && !e.settled
}

// certificateExpiry returns the expiry of the certificate with which the session was opened.
func (s *session) certificateExpiry() time.Time {
	if s.caller.Certificate == nil {
		return time.Time{}
	}
	return s.caller.Certificate.NotAfter
}

// permission decides about the next step of an offered dispatch from the facts of this session.
func (s *session) permission(e *entry) dispatch.Permission {
	rights := dispatch.Rights{Node: s.node, CertificateEnd: s.certificateExpiry(), Review: e.review}
	return dispatch.Permit(e.d, rights, s.service.Time.Now())
}

// updateClearance sends the machine the stage that a mediated dispatch may reach: hold, ask, or
// start after an approval. It withdraws a dispatch that may not run any more. It returns true while
// a worker processes the entry.
func (s *session) updateClearance(ctx context.Context, e *entry) (busy bool) {
	if dispatch.WithdrawnCondition(e.d.Status) != nil {
		s.sendCancel(e)
		return false
	}
	if (e.accepted && !e.inMediation()) || e.cancelSent {
		return false
	}
	permission := s.permission(e)
	switch {
	case permission.Kind == dispatch.Withdrawn:
		s.withdraw(ctx, e, permission.Code, permission.Message)
		return true
	case !e.inMediation():
		return false
	case permission.Kind == dispatch.Postponed:
		return s.holdDispatch(ctx, e)
	}
	want := gatewayv1.Clearance_STAGE_ASK
	if e.approved {
		want = gatewayv1.Clearance_STAGE_START
	}
	if e.stage == want || s.service.Clock.Now().Before(e.recheckAt) {
		return false
	}
	s.recheckRights(ctx, e, want)
	return true
}

// holdDispatch keeps a mediated dispatch from its next step. An agent without FEATURE_CLEARANCE
// starts right after the approval, so on a suspended Node its dispatch is withdrawn.
func (s *session) holdDispatch(ctx context.Context, e *entry) (busy bool) {
	if s.clearanceSupported {
		s.sendClearance(e, gatewayv1.Clearance_STAGE_HOLD)
		return false
	}
	if s.node.Spec.DesiredState != v1alpha1.NodeSuspended {
		return false
	}
	s.withdraw(ctx, e, v1alpha1.ReasonNodeSuspended, "the Node was suspended, and the agent of this machine cannot wait after an approval: update the agent")
	return true
}

func (s *session) sendClearance(e *entry, stage gatewayv1.Clearance_Stage) {
	if e.stage == stage {
		return
	}
	e.stage = stage
	s.debugDispatch("clearance changed", e.d, "stage", stageName(stage))
	if s.clearanceSupported {
		s.send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Clearance{
			Clearance: &gatewayv1.Clearance{Dispatch: refOf(e.d), Stage: stage}}})
	}
}

// withdraw cancels a dispatch on its machine and records the reason. The result of the machine
// ends the dispatch.
func (s *session) withdraw(ctx context.Context, e *entry, code, message string) {
	s.debugDispatch("dispatch withdrawn", e.d, "code", code)
	s.sendCancel(e)
	gateway := s.service.Gateway
	s.write(ctx, e, "withdraw", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		return dispatch.Withdraw(d.Status, code, message, gateway, now), !dispatch.Finished(d.Status) && dispatch.WithdrawnCondition(d.Status) == nil
	}, func(ctx context.Context, _ error) { s.advance(ctx, e) })
}

// recheckRights reads the live Node, reviews the requester's right, then clears the step.
func (s *session) recheckRights(ctx context.Context, e *entry, want gatewayv1.Clearance_Stage) {
	e.busy = true
	d := e.d
	s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
		node, err := s.service.getNode(ctx, s.key)
		var review dispatch.Review
		if err == nil {
			review, err = s.service.review(ctx, d)
		}
		return func(ctx context.Context) {
			e.busy, e.recheckAt = false, time.Time{}
			if err == nil {
				e.review = review
				s.applyNode(ctx, node, false)
				err = s.service.Check()
			}
			if err != nil {
				s.log().V(1).Info("cannot clear a dispatch for its next step now", "dispatch", d.Name, "reason", err.Error())
				e.recheckAt = s.service.Clock.Now().Add(blockedRetryInterval)
				s.wakeBy(e.recheckAt)
				return
			}
			s.grantClearance(ctx, e, want)
		}
	})
}

// grantClearance clears a step right after recheckRights has checked its rights.
func (s *session) grantClearance(ctx context.Context, e *entry, want gatewayv1.Clearance_Stage) {
	select {
	case <-s.stopped:
		return
	default:
	}
	current := gatewayv1.Clearance_STAGE_ASK
	if e.approved {
		current = gatewayv1.Clearance_STAGE_START
	}
	if !e.busy && e.inMediation() && current == want && s.recordedIn(s.node) && s.permission(e).Kind == dispatch.Permitted {
		if s.sendClearance(e, want); want == gatewayv1.Clearance_STAGE_START {
			e.acceptedAt = s.service.Time.Now() // The run time counts from here.
		}
	}
	s.advance(ctx, e)
}

// stopUnauthorized ends the session of a machine that is not authorized any more. It first
// withdraws the dispatches that a person is asked about, so that the machine can confirm that
// they did not start.
func (s *session) stopUnauthorized(ctx context.Context, err error) {
	if s.refusal != nil {
		return
	}
	s.debug("machine not authorized any more", "reason", err.Error())
	s.refusal, s.draining = err, true
	s.refusedAt = s.service.Clock.Now()
	for _, e := range s.entries {
		if !e.inMediation() || e.busy || e.cancelSent {
			continue
		}
		if p := s.permission(e); p.Kind == dispatch.Withdrawn {
			s.withdraw(ctx, e, p.Code, p.Message)
		}
	}
	s.stopWhenConfirmed()
}

// stopWhenConfirmed stops a refused session once the machine has answered every cancellation,
// or after confirmationGrace.
func (s *session) stopWhenConfirmed() {
	if s.refusal == nil {
		return
	}
	end := s.refusedAt.Add(confirmationGrace)
	waits := func() bool {
		for _, e := range s.entries {
			if e.cancelSent && e.inMediation() {
				return true
			}
		}
		return false
	}
	if s.service.Clock.Now().Before(end) && waits() {
		s.wakeBy(end)
		return
	}
	s.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: s.refusal})
}
