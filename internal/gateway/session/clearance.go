package session

import (
	"context"
	"slices"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// revokeGrace is how long a session whose Node was revoked waits for the machine to confirm that
// what a person is asked about was cancelled.
const revokeGrace = time.Second

// clears reports whether the agent of a Hello waits for clearances.
func clears(hello *gatewayv1.Hello) bool {
	return slices.Contains(hello.GetFeatures(), gatewayv1.Feature_FEATURE_CLEARANCE)
}

// mediated reports whether a person at the machine is asked about the dispatch, and it was not
// cleared to start.
func (e *entry) mediated() bool {
	return (e.asked != nil || e.yes) && e.stage != gatewayv1.Clearance_STAGE_START && e.result == nil && !e.settled
}

// certificateEnd is when the certificate ends that the session was opened with.
func (s *session) certificateEnd() time.Time {
	if s.caller.Certificate == nil {
		return time.Time{}
	}
	return s.caller.Certificate.NotAfter
}

// permission decides about the next step of an offered dispatch by the facts of this session.
func (s *session) permission(e *entry) dispatch.Permission {
	rights := dispatch.Rights{Node: s.node, CertificateEnd: s.certificateEnd(), Review: e.review}
	return dispatch.Permit(e.d, rights, s.service.Time.Now())
}

// clear sends the machine the step that a mediated dispatch may reach: held, asked, or started after a yes. It
// withdraws a dispatch that may not run any more. It returns true while a worker has the entry.
func (s *session) clear(ctx context.Context, e *entry) (busy bool) {
	if dispatch.WithdrawnFor(e.d.Status) != nil {
		s.sendCancel(e)
		return false
	}
	if (e.accepted && !e.mediated()) || e.cancelSent {
		return false
	}
	permission := s.permission(e)
	switch {
	case permission.Kind == dispatch.Withdrawn:
		s.withdraw(ctx, e, permission.Code, permission.Message)
		return true
	case !e.mediated():
		return false
	case permission.Kind == dispatch.Postponed:
		return s.hold(ctx, e)
	}
	want := gatewayv1.Clearance_STAGE_ASK
	if e.yes {
		want = gatewayv1.Clearance_STAGE_START
	}
	if e.stage == want || s.service.Clock.Now().Before(e.recheckAt) {
		return false
	}
	s.recheck(ctx, e, want)
	return true
}

// hold keeps a mediated dispatch from its next step. An agent that knows no clearance starts after a
// yes without asking: of a suspended Node its work is withdrawn.
func (s *session) hold(ctx context.Context, e *entry) (busy bool) {
	if s.clearing {
		s.sendClearance(e, gatewayv1.Clearance_STAGE_HOLD)
		return false
	}
	if s.node.Spec.DesiredState != v1alpha1.NodeSuspended {
		return false
	}
	s.withdraw(ctx, e, v1alpha1.ReasonNodeSuspended, "the Node was suspended, and the agent of this machine cannot wait after a yes: update the agent")
	return true
}

func (s *session) sendClearance(e *entry, stage gatewayv1.Clearance_Stage) {
	if e.stage == stage {
		return
	}
	e.stage = stage
	if s.clearing {
		s.send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Clearance{
			Clearance: &gatewayv1.Clearance{Dispatch: refOf(e.d), Stage: stage}}})
	}
}

// withdraw cancels a dispatch on its machine and records why. The result of the machine ends it.
func (s *session) withdraw(ctx context.Context, e *entry, code, message string) {
	s.sendCancel(e)
	gateway := s.service.Gateway
	s.write(ctx, e, "withdraw", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		return dispatch.Withdraw(d.Status, code, message, gateway, now), !dispatch.Finished(d.Status) && dispatch.WithdrawnFor(d.Status) == nil
	}, func(ctx context.Context, _ error) { s.advance(ctx, e) })
}

// recheck looks at the live Node and dispatch and at the requester's right, then clears the step.
func (s *session) recheck(ctx context.Context, e *entry, want gatewayv1.Clearance_Stage) {
	e.busy = true
	d := e.d
	s.work(ctx, func(ctx context.Context) func(context.Context) {
		node, err := s.service.getNode(ctx, s.key)
		var review dispatch.Review
		if err == nil {
			review, err = s.service.review(ctx, d)
		}
		return func(ctx context.Context) {
			e.busy, e.recheckAt = false, time.Time{}
			if err == nil {
				e.review = review
				s.learnNode(ctx, node, false)
				err = s.service.Check()
			}
			if err != nil {
				s.log().V(1).Info("no step of a dispatch is cleared now", "dispatch", d.Name, "reason", err.Error())
				e.recheckAt = s.service.Clock.Now().Add(blockedRetry)
				s.wakeBy(e.recheckAt)
				return
			}
			s.clearStep(ctx, e, want)
		}
	})
}

// clearStep clears a step whose rights were looked at this very moment.
func (s *session) clearStep(ctx context.Context, e *entry, want gatewayv1.Clearance_Stage) {
	select {
	case <-s.stopped:
		return
	default:
	}
	current := gatewayv1.Clearance_STAGE_ASK
	if e.yes {
		current = gatewayv1.Clearance_STAGE_START
	}
	if !e.busy && e.mediated() && current == want && s.recordedIn(s.node) && s.permission(e).Kind == dispatch.Permitted {
		if s.sendClearance(e, want); want == gatewayv1.Clearance_STAGE_START {
			e.acceptedAt = s.service.Time.Now() // The run time counts from here.
		}
	}
	s.advance(ctx, e)
}

// refuseMachine ends the session of a machine that its Node does not let in any more. What a person
// is asked about is cancelled first: the machine can confirm that it did not start.
func (s *session) refuseMachine(ctx context.Context, err error) {
	if s.refusal != nil {
		return
	}
	s.refusal, s.draining = err, true
	s.refusedAt = s.service.Clock.Now()
	for _, e := range s.entries {
		if !e.mediated() || e.busy || e.cancelSent {
			continue
		}
		if p := s.permission(e); p.Kind == dispatch.Withdrawn {
			s.withdraw(ctx, e, p.Code, p.Message)
		}
	}
	s.leaveWhenConfirmed()
}

// leaveWhenConfirmed stops a refused session once the machine answered every cancellation, or
// after revokeGrace.
func (s *session) leaveWhenConfirmed() {
	if s.refusal == nil {
		return
	}
	end := s.refusedAt.Add(revokeGrace)
	waits := func() bool {
		for _, e := range s.entries {
			if e.cancelSent && e.mediated() {
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
