package dispatchtable

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// blockedRetryInterval is the interval at which a blocked session checks whether it may make offers
// again.
const blockedRetryInterval = 2 * time.Second

// ReviewTTL is the time that the result of a review is valid.
const ReviewTTL = 5 * time.Second

// offer fills the window of the Node with waiting dispatches, oldest first.
func (t *Table) offer() {
	if t.now.Ended || t.now.Draining {
		return
	}
	for _, e := range t.queue.newest(t.queue.len() - t.MaxQueued) {
		t.debugDispatch("dispatch refused", e.d, "code", v1alpha1.ErrorQueueFull)
		t.settleUnoffered(e, queueFull)
	}
	if t.certificateExpired() {
		t.debug("offers wait", "reason", "the certificate of the session expired")
		return // The machine reconnects with a new certificate.
	}
	if t.queue.len() == 0 || t.now.Node.Spec.DesiredState == v1alpha1.NodeSuspended || len(t.inFlight) >= t.window() {
		t.debugWindow()
		return
	}
	if err := t.OffersBlocked(); err != nil {
		t.log().V(1).Info("cannot make offers now", "reason", err.Error())
		t.wakeIn(blockedRetryInterval)
		return
	}
	for t.queue.len() > 0 && len(t.inFlight) < t.window() {
		e := t.queue.first(func(e *entry) bool { return !t.postponed(e) })
		if e == nil {
			return
		}
		switch t.admission(e.d, t.now.Node).Kind {
		case dispatch.VerdictOffer:
			if reason := t.validateInput(e.d); reason != "" {
				t.debugDispatch("dispatch refused", e.d, "code", v1alpha1.ErrorInvalidInput)
				t.settleUnoffered(e, t.rejectInput(reason))
				continue
			}
			t.debugDispatch("dispatch admitted", e.d)
			t.queue.remove(e)
			t.inFlight[e.d.UID] = struct{}{}
			t.reviewClaimOffer(e)
		case dispatch.VerdictWait:
			t.debugDispatch("dispatch waits", e.d, "reason", "the node is suspended or its spec is not proven")
			return
		default:
			t.admit(e)
		}
	}
}

// window returns the number of dispatches that the machine may have at once.
func (t *Table) window() int { return int(max(t.now.Node.Spec.MaxInFlight, 1)) }

func (t *Table) admission(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node) dispatch.Verdict {
	return dispatch.Admit(d, node, t.now.Declared, t.now.Server)
}

// admit decides about an entry that was not offered. An entry that may be offered stays in the
// queue.
func (t *Table) admit(e *entry) {
	if t.now.Ended {
		return
	}
	switch verdict := t.admission(e.d, t.now.Node); verdict.Kind {
	case dispatch.VerdictDone:
		t.queue.remove(e)
		t.markSettled(e)
	case dispatch.VerdictSettle:
		if t.postponed(e) {
			t.queue.add(e)
			return
		}
		t.debugDispatch("dispatch refused", e.d, "code", ErrorCode(&verdict.Status))
		declared := t.now.Declared
		t.settleUnoffered(e, func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			verdict := dispatch.Admit(d, node, declared, now)
			return verdict.Status, verdict.Kind == dispatch.VerdictSettle
		})
	default:
		t.queue.add(e)
		t.setAlarm(e)
	}
}

func queueFull(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
	return dispatch.RejectQueueFull(d.Status, now), !dispatch.Finished(d.Status)
}

func noLongerAllowed(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
	return dispatch.RejectNoLongerAllowed(d, now), !dispatch.Finished(d.Status)
}

func (t *Table) certificateExpired() bool {
	end := t.session.CertificateExpiry
	return !end.IsZero() && !t.now.Server.Before(end)
}

// mayOffer reports whether an entry that has a slot in the window may be offered now.
func (t *Table) mayOffer(e *entry) bool {
	return !t.now.Ended && !t.now.Draining && !t.certificateExpired() && t.OffersBlocked() == nil && t.admission(e.d, t.now.Node).Kind == dispatch.VerdictOffer
}

// reviewClaimOffer offers an entry that has a slot in the window. First it reviews the requester
// of a dispatch that waited, and claims a dispatch that is not younger than the session.
func (t *Table) reviewClaimOffer(e *entry) {
	switch {
	case t.ReviewDue(e.d, t.now.Server) && !t.now.Local.Before(e.reviewedUntil):
		t.start(e, &Review{Dispatch: e.d, entry: e})
	case dispatch.NeedsClaim(e.d, t.claimUntil):
		t.claim(e)
	default:
		t.sendOffer(e)
	}
}

// ReviewDue reports whether the requester's right must be reviewed before the next step, because
// the dispatch is at least ReviewAfter old. now is the time of the API server.
func (s *Settings) ReviewDue(d *v1alpha1.CapabilityDispatch, now time.Time) bool {
	return now.Sub(d.CreationTimestamp.Time) >= s.ReviewAfter
}

// HandleReview continues with a dispatch whose requester was reviewed before the offer.
func (t *Table) HandleReview(now Snapshot, r *Review, review dispatch.Review, err error) Effects {
	return t.call(now, func() { t.handleReview(r.entry, review, err) })
}

func (t *Table) handleReview(e *entry, review dispatch.Review, err error) {
	e.busy, e.review = false, review
	t.debugReview(e, review, err)
	switch {
	case err == nil && review == dispatch.ReviewRefused && !t.now.Ended && e.result == nil:
		t.releaseSlot(e)
		t.settleUnoffered(e, noLongerAllowed)
	case err == nil && t.mayOffer(e) && e.result == nil:
		e.reviewedUntil = t.now.Local.Add(ReviewTTL)
		t.reviewClaimOffer(e)
	default:
		if err != nil && !t.now.Cancelled {
			t.log().Error(err, "cannot review the requester of a dispatch that waited", "dispatch", e.d.Name)
		}
		t.requeue(e, err)
	}
}

// requeue returns an entry from the window to the queue.
func (t *Table) requeue(e *entry, err error) {
	t.releaseSlot(e)
	t.debugDispatch("dispatch requeued", e.d)
	// The obstacle may disappear without an event of this Node.
	t.wakeIn(blockedRetryInterval)
	if err != nil {
		t.queue.add(e)
		return
	}
	t.reevaluate(e)
}

// claim claims an entry before it is offered, so that no other process can prove it unstarted.
func (t *Table) claim(e *entry) {
	node, declared, until, gateway := t.now.Node, t.now.Declared, t.claimUntil, t.Gateway
	t.write(e, "claim", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		if !dispatch.NeedsClaim(d, until) || dispatch.Admit(d, node, declared, now).Kind != dispatch.VerdictOffer {
			return v1alpha1.CapabilityDispatchStatus{}, false
		}
		return dispatch.Claim(d.Status, gateway, now), true
	}, func(err error) {
		if err == nil && t.mayOffer(e) {
			t.debugDispatch("dispatch claimed", e.d)
			t.reviewClaimOffer(e)
			return
		}
		t.requeue(e, err)
	})
}

func (t *Table) sendOffer(e *entry) {
	now := t.now.Local
	e.offered, e.offeredAt, e.stage = true, now, gatewayv1.Clearance_STAGE_ASK
	spec := &e.d.Spec
	offer := &gatewayv1.Offer{
		Dispatch: RefOf(e.d), Capability: spec.Capability,
		Timeout:         durationpb.New(dispatch.RunTimeout(e.d)),
		Expires:         timestamppb.New(dispatch.ExpiryTime(e.d)),
		MaxPayloadBytes: uint32(max(spec.MaxPayloadBytes, 0)),
		RequestedBy:     spec.RequestedBy,
	}
	if spec.Input != nil {
		offer.Input = jsontext.StripEscapes(spec.Input.Raw) // the API server escapes
	}
	t.Observer.Offered()
	t.debugDispatch("dispatch offered", e.d)
	t.send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: offer}})
	t.wakeBy(now.Add(t.DispatchedDelay))
	t.setAlarm(e)
}

// releaseSlot releases the slot of e in the window.
func (t *Table) releaseSlot(e *entry) { delete(t.inFlight, e.d.UID) }

// RefOf returns the reference to a dispatch in messages.
func RefOf(d *v1alpha1.CapabilityDispatch) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{Namespace: d.Namespace, Name: d.Name, Uid: string(d.UID)}
}
