package session

import (
	"context"
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

// offer fills the window of the Node with waiting dispatches, oldest first.
func (s *session) offer(ctx context.Context) {
	if s.ended || s.draining {
		return
	}
	for _, e := range s.queue.newest(s.queue.len() - s.service.MaxQueued) {
		s.debugDispatch("dispatch refused", e.d, "code", v1alpha1.ErrorQueueFull)
		s.settleUnoffered(ctx, e, queueFull)
	}
	if s.certificateExpired() {
		s.debug("offers wait", "reason", "the certificate of the session expired")
		return // The machine reconnects with a new certificate.
	}
	if s.queue.len() == 0 || s.node.Spec.DesiredState == v1alpha1.NodeSuspended || len(s.inFlight) >= s.window() {
		s.debugWindow()
		return
	}
	if err := s.service.Check(); err != nil {
		s.log().V(1).Info("cannot make offers now", "reason", err.Error())
		s.wakeIn(blockedRetryInterval)
		return
	}
	for s.queue.len() > 0 && len(s.inFlight) < s.window() {
		e := s.queue.first(func(e *entry) bool { return !s.postponed(e) })
		if e == nil {
			return
		}
		switch s.admission(e.d, s.node).Kind {
		case dispatch.VerdictOffer:
			if reason := s.validateInput(e.d); reason != "" {
				s.debugDispatch("dispatch refused", e.d, "code", v1alpha1.ErrorInvalidInput)
				s.settleUnoffered(ctx, e, s.rejectInput(reason))
				continue
			}
			s.debugDispatch("dispatch admitted", e.d)
			s.queue.remove(e)
			s.inFlight[e.d.UID] = struct{}{}
			s.reviewClaimOffer(ctx, e)
		case dispatch.VerdictWait:
			s.debugDispatch("dispatch waits", e.d, "reason", "the node is suspended or its spec is not proven")
			return
		default:
			s.admit(ctx, e)
		}
	}
}

// window returns the number of dispatches that the machine may have at once.
func (s *session) window() int { return int(max(s.node.Spec.MaxInFlight, 1)) }

func (s *session) admission(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node) dispatch.Verdict {
	return dispatch.Admit(d, node, s.facts.Declared, s.service.Time.Now())
}

// admit decides about an entry that was not offered. An entry that may be offered stays in the
// queue.
func (s *session) admit(ctx context.Context, e *entry) {
	if s.ended {
		return
	}
	switch verdict := s.admission(e.d, s.node); verdict.Kind {
	case dispatch.VerdictDone:
		s.queue.remove(e)
		s.markSettled(e)
	case dispatch.VerdictSettle:
		if s.postponed(e) {
			s.queue.add(e)
			return
		}
		s.debugDispatch("dispatch refused", e.d, "code", errorCode(&verdict.Status))
		declared := s.facts.Declared
		s.settleUnoffered(ctx, e, func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			verdict := dispatch.Admit(d, node, declared, now)
			return verdict.Status, verdict.Kind == dispatch.VerdictSettle
		})
	default:
		s.queue.add(e)
		s.setAlarm(e)
	}
}

func queueFull(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
	return dispatch.RejectQueueFull(d.Status, now), !dispatch.Finished(d.Status)
}

func noLongerAllowed(d *v1alpha1.CapabilityDispatch, _ *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
	return dispatch.RejectNoLongerAllowed(d, now), !dispatch.Finished(d.Status)
}

func (s *session) certificateExpired() bool {
	end := s.certificateExpiry()
	return !end.IsZero() && !s.service.Time.Now().Before(end)
}

// mayOffer reports whether an entry that has a slot in the window may be offered now.
func (s *session) mayOffer(e *entry) bool {
	return !s.ended && !s.draining && !s.certificateExpired() && s.service.Check() == nil && s.admission(e.d, s.node).Kind == dispatch.VerdictOffer
}

// reviewClaimOffer offers an entry that has a slot in the window. First it reviews the requester
// of a dispatch that waited, and claims a dispatch that is not younger than the session.
func (s *session) reviewClaimOffer(ctx context.Context, e *entry) {
	switch {
	case s.service.reviewDue(e.d) && !s.service.Clock.Now().Before(e.reviewedUntil):
		s.reviewWaiting(ctx, e)
	case dispatch.NeedsClaim(e.d, s.noClaimAfter):
		s.claim(ctx, e)
	default:
		s.sendOffer(e)
	}
}

// reviewWaiting reviews the requester of a waiting entry before the offer.
func (s *session) reviewWaiting(ctx context.Context, e *entry) {
	e.busy = true
	d := e.d
	s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
		review, err := s.service.review(ctx, d)
		return func(ctx context.Context) {
			e.busy, e.review = false, review
			s.debugReview(e, review, err)
			switch {
			case err == nil && review == dispatch.ReviewRefused && !s.ended && e.result == nil:
				s.releaseSlot(e)
				s.settleUnoffered(ctx, e, noLongerAllowed)
			case err == nil && s.mayOffer(e) && e.result == nil:
				e.reviewedUntil = s.service.Clock.Now().Add(reviewTTL)
				s.reviewClaimOffer(ctx, e)
			default:
				if err != nil && ctx.Err() == nil {
					s.log().Error(err, "cannot review the requester of a dispatch that waited", "dispatch", d.Name)
				}
				s.requeue(ctx, e, err)
			}
		}
	})
}

// requeue returns an entry from the window to the queue.
func (s *session) requeue(ctx context.Context, e *entry, err error) {
	s.releaseSlot(e)
	s.debugDispatch("dispatch requeued", e.d)
	// The obstacle may disappear without an event of this Node.
	s.wakeIn(blockedRetryInterval)
	if err != nil {
		s.queue.add(e)
		return
	}
	s.reevaluate(ctx, e)
}

// claim claims an entry before it is offered, so that no other process can prove it unstarted.
func (s *session) claim(ctx context.Context, e *entry) {
	node, declared := s.node, s.facts.Declared
	s.write(ctx, e, "claim", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		if !dispatch.NeedsClaim(d, s.noClaimAfter) || dispatch.Admit(d, node, declared, now).Kind != dispatch.VerdictOffer {
			return v1alpha1.CapabilityDispatchStatus{}, false
		}
		return dispatch.Claim(d.Status, s.service.Gateway, now), true
	}, func(ctx context.Context, err error) {
		if err == nil && s.mayOffer(e) {
			s.debugDispatch("dispatch claimed", e.d)
			s.reviewClaimOffer(ctx, e)
			return
		}
		s.requeue(ctx, e, err)
	})
}

func (s *session) sendOffer(e *entry) {
	now := s.service.Clock.Now()
	e.offered, e.offeredAt, e.stage = true, now, gatewayv1.Clearance_STAGE_ASK
	spec := &e.d.Spec
	offer := &gatewayv1.Offer{
		Dispatch: refOf(e.d), Capability: spec.Capability,
		Timeout:         durationpb.New(dispatch.RunTimeout(e.d)),
		Expires:         timestamppb.New(dispatch.ExpiryTime(e.d)),
		MaxPayloadBytes: uint32(max(spec.MaxPayloadBytes, 0)),
		RequestedBy:     spec.RequestedBy,
	}
	if spec.Input != nil {
		offer.Input = jsontext.StripEscapes(spec.Input.Raw) // the API server escapes
	}
	s.service.metrics.offers.Inc()
	s.debugDispatch("dispatch offered", e.d)
	s.send(&gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Offer{Offer: offer}})
	s.wakeBy(now.Add(s.service.DispatchedDelay))
	s.setAlarm(e)
}

// releaseSlot releases the slot of e in the window.
func (s *session) releaseSlot(e *entry) { delete(s.inFlight, e.d.UID) }

func refOf(d *v1alpha1.CapabilityDispatch) *gatewayv1.DispatchRef {
	return &gatewayv1.DispatchRef{Namespace: d.Namespace, Name: d.Name, Uid: string(d.UID)}
}
