package dispatchtable

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// inMediation reports whether a person at the machine is asked about the dispatch and the dispatch
// is not cleared to start yet.
func (e *entry) inMediation() bool {
	return (e.approvalRequest != nil || e.approved) && e.stage != gatewayv1.Clearance_STAGE_START && e.result == nil && !e.settled
}

// permission decides about the next step of an offered dispatch from the facts of this session.
func (t *Table) permission(e *entry) dispatch.Permission {
	rights := dispatch.Rights{Node: t.now.Node, CertificateEnd: t.session.CertificateExpiry, Review: e.review}
	return dispatch.Permit(e.d, rights, t.now.Server)
}

// updateClearance sends the machine the stage that a mediated dispatch may reach: hold, ask, or
// start after an approval. It withdraws a dispatch that may not run any more. It returns true while
// a worker processes the entry.
func (t *Table) updateClearance(e *entry) (busy bool) {
	if dispatch.WithdrawnCondition(e.d.Status) != nil {
		t.sendCancel(e)
		return false
	}
	if (e.accepted && !e.inMediation()) || e.cancelSent {
		return false
	}
	permission := t.permission(e)
	switch {
	case permission.Kind == dispatch.Withdrawn:
		t.withdraw(e, permission.Code, permission.Message)
		return true
	case !e.inMediation():
		return false
	case permission.Kind == dispatch.Postponed:
		return t.holdDispatch(e)
	}
	want := gatewayv1.Clearance_STAGE_ASK
	if e.approved {
		want = gatewayv1.Clearance_STAGE_START
	}
	if e.stage == want || t.now.Local.Before(e.recheckAt) {
		return false
	}
	t.start(e, &Recheck{Dispatch: e.d, entry: e, stage: want})
	return true
}

// holdDispatch keeps a mediated dispatch from its next step. An agent without FEATURE_CLEARANCE
// starts right after the approval, so on a suspended Node its dispatch is withdrawn.
func (t *Table) holdDispatch(e *entry) (busy bool) {
	if t.session.ClearanceSupported {
		t.sendClearance(e, gatewayv1.Clearance_STAGE_HOLD)
		return false
	}
	if t.now.Node.Spec.DesiredState != v1alpha1.NodeSuspended {
		return false
	}
	t.withdraw(e, v1alpha1.ReasonNodeSuspended, "the Node was suspended, and the agent of this machine cannot wait after an approval: update the agent")
	return true
}

func (t *Table) sendClearance(e *entry, stage gatewayv1.Clearance_Stage) {
	if e.stage == stage {
		return
	}
	e.stage = stage
	t.debugDispatch("clearance changed", e.d, "stage", stageName(stage))
	if t.session.ClearanceSupported {
		t.send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Clearance{
			Clearance: &gatewayv1.Clearance{Dispatch: RefOf(e.d), Stage: stage}}})
	}
}

// withdraw cancels a dispatch on its machine and records the reason. The result of the machine
// ends the dispatch.
func (t *Table) withdraw(e *entry, code, message string) {
	t.debugDispatch("dispatch withdrawn", e.d, "code", code)
	t.sendCancel(e)
	gateway := t.Gateway
	t.write(e, "withdraw", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		return dispatch.Withdraw(d.Status, code, message, gateway, now), !dispatch.Finished(d.Status) && dispatch.WithdrawnCondition(d.Status) == nil
	}, func(error) { t.advance(e) })
}

// FinishRecheck stores the review of a Recheck. The session must call it before it applies the
// Node, and Clear after that.
func (t *Table) FinishRecheck(r *Recheck, review dispatch.Review, err error) {
	r.entry.busy, r.entry.recheckAt = false, time.Time{}
	if err == nil {
		r.entry.review = review
	}
}

// Clear clears the stage of a Recheck if the rights still hold. err is the reason why they could
// not be checked.
func (t *Table) Clear(now Snapshot, r *Recheck, err error) Effects {
	return t.call(now, func() { t.clear(r.entry, r.stage, err) })
}

func (t *Table) clear(e *entry, want gatewayv1.Clearance_Stage, err error) {
	if err == nil {
		err = t.OffersBlocked()
	}
	if err != nil {
		t.log().V(1).Info("cannot clear a dispatch for its next step now", "dispatch", e.d.Name, "reason", err.Error())
		e.recheckAt = t.now.Local.Add(blockedRetryInterval)
		t.wakeBy(e.recheckAt)
		return
	}
	current := gatewayv1.Clearance_STAGE_ASK
	if e.approved {
		current = gatewayv1.Clearance_STAGE_START
	}
	if !e.busy && e.inMediation() && current == want && t.recorded() && t.permission(e).Kind == dispatch.Permitted {
		if t.sendClearance(e, want); want == gatewayv1.Clearance_STAGE_START {
			e.acceptedAt = t.now.Server // The run time counts from here.
		}
	}
	t.advance(e)
}

// recorded reports whether the Node records this session as the live one.
func (t *Table) recorded() bool {
	return t.now.Node.Status.SessionID == t.session.ID && dispatch.SessionOf(t.now.Node).Live()
}

// WithdrawMediated withdraws the dispatches that a person is asked about and that may not run any
// more, so that the machine can confirm that they did not start.
func (t *Table) WithdrawMediated(now Snapshot) Effects {
	return t.call(now, func() {
		for _, e := range t.entries {
			if !e.inMediation() || e.busy || e.cancelSent {
				continue
			}
			if p := t.permission(e); p.Kind == dispatch.Withdrawn {
				t.withdraw(e, p.Code, p.Message)
			}
		}
	})
}

// AwaitsConfirmation reports whether the machine has not answered the cancellation of a dispatch
// that a person is asked about.
func (t *Table) AwaitsConfirmation() bool {
	for _, e := range t.entries {
		if e.cancelSent && e.inMediation() {
			return true
		}
	}
	return false
}
