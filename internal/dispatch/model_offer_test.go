package dispatch

import (
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// mayOffer reports whether the Lease of the gateway is recent enough for an offer.
func (w *world) mayOffer(g *gateway) bool { return w.now-g.leaseRenewedAt <= leaseSeconds }

// takeNextStep takes the next step for the dispatch in a session.
func (w *world) takeNextStep(g *gateway) {
	h := g.session
	if h == nil || !h.recorded || h.d == nil || h.settled {
		return
	}
	switch {
	case h.pendingWrite != nil:
		if !g.cutOff {
			w.writeIfUnchanged(h.id, *h.pendingWrite)
			h.pendingWrite, h.d, h.version = nil, w.d, w.version
		}
	case h.result != nil:
		w.writeResult(h)
	case !h.offered:
		w.offerDispatch(g, h)
	case Finished(h.d.Status), h.d.Spec.Cancel:
		if !h.cancelled {
			h.cancelled = true
			h.sendToAgent("cancel")
		}
		if !Finished(h.d.Status) {
			w.timeOutOverdue(h)
		}
	default:
		w.writeAcceptance(h)
		w.timeOutOverdue(h)
	}
}

func (w *world) offerDispatch(g *gateway, h *gatewaySession) {
	verdict := w.rules.admit(h.d, h.node, declaredEcho, w.time())
	switch verdict.Kind {
	case VerdictSettle:
		w.decideAsHolder(h, func(d *v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool) {
			v := w.rules.admit(d, w.node, declaredEcho, w.time())
			return v.Status, v.Kind == VerdictSettle
		})
	case VerdictOffer:
		if !w.mayOffer(g) || h.streamEnded {
			return
		}
		if w.rules.needsClaim(h.d, h.noClaimAfter) {
			if g.cutOff || (h.version != w.version && !w.rules.ignoreVersion) {
				if !g.cutOff {
					h.d, h.version = w.d, w.version // a live read after the conflict
				}
				return
			}
			w.writeStatus(h.id+" claims", Claim(h.d.Status, h.id, w.time()))
			h.d, h.version = w.d, w.version
		}
		h.offered = true
		h.sendToAgent("offer")
		w.logf("%s offers", h.id)
	}
}

// decideAsHolder reads the newest dispatch, checks that the Node records this session, and then
// calls decide. A later step performs the write.
func (w *world) decideAsHolder(h *gatewaySession, decide func(*v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool)) {
	if h.gateway.cutOff {
		return
	}
	h.d, h.version = w.d, w.version
	if w.node.Status.SessionID != h.id {
		return
	}
	if next, write := decide(w.d); write {
		h.pendingWrite = &pendingStatus{w.version, next}
	}
}

const reportGrace = 30

// timeOutOverdue gives up on a machine that is connected and does not report.
func (w *world) timeOutOverdue(h *gatewaySession) {
	latest := ExpiryTime(h.d).Add(RunTimeout(h.d) + reportGrace*after(1).Sub(after(0)))
	if w.time().Before(latest) {
		return
	}
	w.decideAsHolder(h, func(d *v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool) {
		if Finished(d.Status) {
			return d.Status, false
		}
		return w.rules.settle(d.Status, Result{Outcome: v1alpha1.DispatchTimedOut, Execution: v1alpha1.ExecutionUnknown}, h.id, w.time())
	})
}

// writeAcceptance writes that the machine accepted the dispatch, based on the stored status.
func (w *world) writeAcceptance(h *gatewaySession) {
	if !h.gateway.cutOff && h.accepted && h.result == nil && !Finished(w.d.Status) && !Accepted(w.d.Status) {
		w.writeStatus(h.id+" notes", MarkAccepted(w.d.Status, h.id, w.time()))
		h.d, h.version = w.d, w.version
	}
}

// writeResult writes the result, based on the stored status, and permits the machine to forget the
// dispatch.
func (w *world) writeResult(h *gatewaySession) {
	if h.gateway.cutOff || h.result == nil || h.settled {
		return
	}
	// A restored machine may contradict a run that no other process can know of.
	if w.agent.runs > 0 && h.result.Execution == v1alpha1.ExecutionNotStarted && w.agent.snapshot != nil && Finished(w.d.Status) && !endedByJournalReset(w.d.Status) {
		w.undetectable = true
	}
	if next, write := w.rules.settle(w.d.Status, *h.result, h.id, w.time()); write {
		w.writeStatus(h.id+" settles", next)
	}
	h.d, h.version, h.settled = w.d, w.version, true
	h.sendToAgent("settled")
}
