package session

import (
	"context"
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// progressInterval is the minimum time between two writes of the progress of one dispatch.
const progressInterval = 2 * time.Second

// Bounds of the intermediate status writes for one Node, per second and at once. Claims and
// terminal statuses do not count.
const (
	stepsPerSecond = 5
	stepsBurst     = 32
)

// advance takes the next step for a dispatch that the machine knows. It considers all facts and
// may be called at any time.
func (s *session) advance(ctx context.Context, e *entry) {
	switch {
	case e.busy || e.settled || s.postponed(e):
		return
	case e.result != nil:
		s.settle(ctx, e)
		return
	case s.ended:
		return
	case !e.offered:
		s.admit(ctx, e)
		return
	case dispatch.Finished(e.d.Status):
		s.cancelFinished(e)
		return
	}
	if e.d.Spec.Cancel {
		s.sendCancel(e)
	}
	if !s.service.Time.Now().Before(e.overdueAt(s.service.ReportGrace)) {
		s.settleOverdue(ctx, e)
		return
	}
	if s.updateClearance(ctx, e) || s.ended {
		return
	}
	s.writeStep(ctx, e)
	s.setAlarm(e)
}

// cancelFinished cancels on the machine a dispatch that another writer has ended. The entry stays
// for settledTTL: a late result still completes the facts about the run.
func (s *session) cancelFinished(e *entry) {
	if e.settledAt.IsZero() {
		e.settledAt = s.service.Clock.Now()
	}
	s.releaseSlot(e)
	s.sendCancel(e)
}

func (s *session) sendCancel(e *entry) {
	if e.cancelSent {
		return
	}
	e.cancelSent = true
	s.debugDispatch("cancellation sent", e.d)
	s.send(cancelMessage(refOf(e.d)))
}

func cancelMessage(ref *gatewayv1.DispatchRef) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Cancel{Cancel: &gatewayv1.Cancel{Dispatch: ref}}}
}

// settleOverdue ends a dispatch whose machine is connected but never reported its result.
func (s *session) settleOverdue(ctx context.Context, e *entry) {
	s.debugDispatch("result overdue", e.d)
	gateway := s.service.Gateway
	s.writeIfRecorded(ctx, e, "overdue", func(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		if dispatch.Finished(d.Status) {
			return d.Status, false
		}
		if dispatch.WithdrawnCondition(d.Status) != nil {
			return dispatch.FinishUnconfirmed(d.Status, now), true
		}
		return dispatch.Settle(d.Status, dispatch.Result{
			Outcome: v1alpha1.DispatchTimedOut, Execution: v1alpha1.ExecutionUnknown, ErrorCode: v1alpha1.ErrorTimeout,
			ErrorMessage: "the machine is connected but reported no result within the run time: it may have run",
		}, gateway, now)
	}, func(ctx context.Context, err error) {
		if err == nil && dispatch.Finished(e.d.Status) {
			s.advance(ctx, e)
			s.offer(ctx)
			return
		}
		s.wakeIn(blockedRetryInterval)
	})
}

// step is an intermediate status, with the time on the local clock at which it is due.
type step struct {
	name   string
	due    time.Time
	decide func(v1alpha1.CapabilityDispatchStatus, time.Time) v1alpha1.CapabilityDispatchStatus
}

// nextStep returns the most important fact that is not written yet, as a step.
func (s *session) nextStep(e *entry) (step, bool) {
	status, gateway := &e.d.Status, s.service.Gateway
	awaiting := status.Phase == v1alpha1.DispatchAwaitingLocalMediation
	switch {
	case e.progress != nil:
		p := *e.progress
		return step{"progress", e.progressAt.Add(progressInterval), func(st v1alpha1.CapabilityDispatchStatus, now time.Time) v1alpha1.CapabilityDispatchStatus {
			return dispatch.MarkProgress(st, p.Percent, p.Message, gateway, now)
		}}, true
	case e.approved && awaiting && e.stage == gatewayv1.Clearance_STAGE_START:
		return step{"mediated", time.Time{}, func(st v1alpha1.CapabilityDispatchStatus, now time.Time) v1alpha1.CapabilityDispatchStatus {
			return dispatch.MarkMediated(st, gateway, now)
		}}, true
	case e.approvalRequest != nil && !e.approved && !awaiting && status.Execution != v1alpha1.ExecutionStarted:
		q := *e.approvalRequest
		return step{"asked", time.Time{}, func(st v1alpha1.CapabilityDispatchStatus, now time.Time) v1alpha1.CapabilityDispatchStatus {
			return dispatch.MarkAwaitingMediation(st, q.user, q.since, gateway, now)
		}}, true
	case e.accepted && !dispatch.Accepted(*status):
		return step{"dispatched", e.offeredAt.Add(s.service.DispatchedDelay), func(st v1alpha1.CapabilityDispatchStatus, now time.Time) v1alpha1.CapabilityDispatchStatus {
			return dispatch.MarkAccepted(st, gateway, now)
		}}, true
	}
	return step{}, false
}

// writeStep writes the next step if it is due and within the budget of the Node.
func (s *session) writeStep(ctx context.Context, e *entry) {
	next, ok := s.nextStep(e)
	if !ok {
		return
	}
	now := s.service.Clock.Now()
	if now.Before(next.due) {
		s.wakeBy(next.due)
		return
	}
	if !s.steps.AllowN(now, 1) {
		s.debugDispatch("status write waits for the budget of the node", e.d, "step", next.name)
		s.wakeIn(time.Second)
		return
	}
	if next.name == "progress" {
		e.progress, e.progressAt = nil, now
	}
	s.write(ctx, e, next.name, func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		return next.decide(d.Status, now), !dispatch.Finished(d.Status)
	}, func(ctx context.Context, err error) {
		if err == nil {
			s.advance(ctx, e)
		}
	})
}
