package dispatch

import (
	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// mayOffer reports whether the Lease of the gateway is recent enough for an offer.
func (w *world) mayOffer(g *gateway) bool { return w.now-g.renewed <= leaseSeconds }

// act takes the next step for the dispatch in a session.
func (w *world) act(g *gateway) {
	h := g.session
	if h == nil || !h.recorded || h.d == nil || h.settled {
		return
	}
	switch {
	case h.doing != nil:
		if !g.cutOff {
			w.keep(h.id, *h.doing)
			h.doing, h.d, h.version = nil, w.d, w.version
		}
	case h.result != nil:
		w.settle(h)
	case !h.offered:
		w.offer(g, h)
	case Finished(h.d.Status), h.d.Spec.Cancel:
		if !h.cancelled {
			h.cancelled = true
			h.say("cancel")
		}
		if !Finished(h.d.Status) {
			w.overdue(h)
		}
	default:
		w.noteAcceptance(h)
		w.overdue(h)
	}
}

func (w *world) offer(g *gateway, h *holder) {
	verdict := w.rules.admit(h.d, h.node, declaredEcho, w.time())
	switch verdict.Kind {
	case VerdictSettle:
		w.asHolder(h, func(d *v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool) {
			v := w.rules.admit(d, w.node, declaredEcho, w.time())
			return v.Status, v.Kind == VerdictSettle
		})
	case VerdictOffer:
		if !w.mayOffer(g) || h.gone {
			return
		}
		if w.rules.needsClaim(h.d, h.fastAfter) {
			if g.cutOff || (h.version != w.version && !w.rules.stale) {
				if !g.cutOff {
					h.d, h.version = w.d, w.version // a live read after the conflict
				}
				return
			}
			w.put(h.id+" claims", Claim(h.d.Status, h.id, w.time()))
			h.d, h.version = w.d, w.version
		}
		h.offered = true
		h.say("offer")
		w.say("%s offers", h.id)
	}
}

// asHolder decides on the newest dispatch and then checks that the Node records this session. A
// later step performs the write.
func (w *world) asHolder(h *holder, decide func(*v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool)) {
	if h.gateway.cutOff {
		return
	}
	h.d, h.version = w.d, w.version
	if w.node.Status.SessionID != h.id {
		return
	}
	if next, write := decide(w.d); write {
		h.doing = &promise{w.version, next}
	}
}

const reportGrace = 30

// overdue gives up on a machine that is connected and does not report.
func (w *world) overdue(h *holder) {
	latest := Expires(h.d).Add(Timeout(h.d) + reportGrace*after(1).Sub(after(0)))
	if w.time().Before(latest) {
		return
	}
	w.asHolder(h, func(d *v1alpha1.CapabilityDispatch) (v1alpha1.CapabilityDispatchStatus, bool) {
		if Finished(d.Status) {
			return d.Status, false
		}
		return w.rules.settle(d.Status, Result{Outcome: v1alpha1.DispatchTimedOut, Execution: v1alpha1.ExecutionUnknown}, h.id, w.time())
	})
}

// noteAcceptance writes that the machine accepted the dispatch, based on the stored status.
func (w *world) noteAcceptance(h *holder) {
	if !h.gateway.cutOff && h.accepted && h.result == nil && !Finished(w.d.Status) && !Accepted(w.d.Status) {
		w.put(h.id+" notes", Dispatched(w.d.Status, h.id, w.time()))
		h.d, h.version = w.d, w.version
	}
}

// settle writes the result, based on the stored status, and permits the machine to forget the
// dispatch.
func (w *world) settle(h *holder) {
	if h.gateway.cutOff || h.result == nil || h.settled {
		return
	}
	// A restored machine may contradict a run that no other process can know of.
	if w.agent.ran > 0 && h.result.Execution == v1alpha1.ExecutionNotStarted && w.agent.saved != nil && Finished(w.d.Status) && !finishedAsReset(w.d.Status) {
		w.excused = true
	}
	if next, write := w.rules.settle(w.d.Status, *h.result, h.id, w.time()); write {
		w.put(h.id+" settles", next)
	}
	h.d, h.version, h.settled = w.d, w.version, true
	h.say("settled")
}
