package dispatchtable

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// progressInterval is the minimum time between two writes of the progress of one dispatch.
const progressInterval = 2 * time.Second

// advance takes the next step for a dispatch that the machine knows. It considers all facts and
// may be called at any time.
func (t *Table) advance(e *entry) {
	switch {
	case e.busy || e.settled || t.postponed(e):
		return
	case e.result != nil:
		t.settle(e)
		return
	case t.now.Ended:
		return
	case !e.offered:
		t.admit(e)
		return
	case dispatch.Finished(e.d.Status):
		t.cancelFinished(e)
		return
	}
	if e.d.Spec.Cancel {
		t.sendCancel(e)
	}
	if !t.now.Server.Before(e.overdueAt(t.ReportGrace)) {
		t.settleOverdue(e)
		return
	}
	if t.updateClearance(e) || t.now.Ended {
		return
	}
	t.writeStep(e)
	t.setAlarm(e)
}

// cancelFinished cancels on the machine a dispatch that another writer has ended. The entry stays
// for settledTTL: a late result still completes the facts about the run.
func (t *Table) cancelFinished(e *entry) {
	if e.settledAt.IsZero() {
		e.settledAt = t.now.Local
	}
	t.releaseSlot(e)
	t.sendCancel(e)
}

func (t *Table) sendCancel(e *entry) {
	if e.cancelSent {
		return
	}
	e.cancelSent = true
	t.debugDispatch("cancellation sent", e.d)
	t.send(CancelMessage(RefOf(e.d)))
}

// CancelMessage returns the message that cancels a dispatch on the machine.
func CancelMessage(ref *gatewayv1.DispatchRef) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Cancel{Cancel: &gatewayv1.Cancel{Dispatch: ref}}}
}

// settleOverdue ends a dispatch whose machine is connected but never reported its result.
func (t *Table) settleOverdue(e *entry) {
	t.debugDispatch("result overdue", e.d)
	gateway := t.Gateway
	t.writeIfRecorded(e, "overdue", func(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
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
	}, func(err error) {
		if err == nil && dispatch.Finished(e.d.Status) {
			t.advance(e)
			t.offer()
			return
		}
		t.wakeIn(blockedRetryInterval)
	})
}

// step is an intermediate status, with the time on the local clock at which it is due.
type step struct {
	name   string
	due    time.Time
	decide func(v1alpha1.CapabilityDispatchStatus, time.Time) v1alpha1.CapabilityDispatchStatus
}

// nextStep returns the most important fact that is not written yet, as a step.
func (t *Table) nextStep(e *entry) (step, bool) {
	status, gateway := &e.d.Status, t.Gateway
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
		return step{"dispatched", e.offeredAt.Add(t.DispatchedDelay), func(st v1alpha1.CapabilityDispatchStatus, now time.Time) v1alpha1.CapabilityDispatchStatus {
			return dispatch.MarkAccepted(st, gateway, now)
		}}, true
	}
	return step{}, false
}

// writeStep writes the next step if it is due and within the budget of the Node.
func (t *Table) writeStep(e *entry) {
	next, ok := t.nextStep(e)
	if !ok {
		return
	}
	now := t.now.Local
	if now.Before(next.due) {
		t.wakeBy(next.due)
		return
	}
	if !t.session.Steps.AllowN(now, 1) {
		t.debugDispatch("status write waits for the budget of the node", e.d, "step", next.name)
		t.wakeIn(time.Second)
		return
	}
	if next.name == "progress" {
		e.progress, e.progressAt = nil, now
	}
	t.write(e, next.name, func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		return next.decide(d.Status, now), !dispatch.Finished(d.Status)
	}, func(err error) {
		if err == nil {
			t.advance(e)
		}
	})
}
