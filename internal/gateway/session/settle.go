package session

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// decision is a status for d and whether to write it. It is asked again with the live
// object after a conflict.
type decision func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool)

// holderDecision is a decision that also looks at the live Node.
type holderDecision func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool)

// write decides and writes in a worker, takes in what is stored then, and calls then in
// the actor. A dispatch that is gone is concluded and then is not called.
func (s *session) write(ctx context.Context, e *entry, step string, decide decision, then func(context.Context, error)) {
	e.busy = true
	d := e.d
	s.work(ctx, func(ctx context.Context) func(context.Context) {
		stored, err := s.service.writeStatus(ctx, step, d, decide)
		return func(ctx context.Context) { s.wrote(ctx, e, stored, err, then) }
	})
}

func (s *session) wrote(ctx context.Context, e *entry, stored *v1alpha1.CapabilityDispatch, err error, then func(context.Context, error)) {
	e.busy = false
	if errors.Is(err, errGone) {
		s.gone(e)
		return
	}
	switch {
	case err == nil:
		e.refusals, e.retryAt = 0, time.Time{}
	case ctx.Err() == nil:
		s.log().Error(err, "cannot write the status of a dispatch", "dispatch", e.d.Name)
		s.postpone(e)
	}
	if stored != nil && newer(stored.ResourceVersion, e.d.ResourceVersion) {
		e.d = stored
	}
	then(ctx, err)
	switch {
	case e.left && e.settled:
		delete(s.entries, e.d.UID)
	case e.left && !e.busy && !dispatch.Finished(e.d.Status):
		s.look(ctx, e) // It left the watch while it was busy.
	}
}

// settle records the result of the machine and then lets it forget.
func (s *session) settle(ctx context.Context, e *entry) {
	result, gateway := *e.result, s.service.Gateway
	s.write(ctx, e, "settle", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		return dispatch.Settle(d.Status, result, gateway, now)
	}, func(ctx context.Context, err error) {
		switch {
		case err == nil:
			s.service.metrics.settled.WithLabelValues(string(e.d.Status.Phase)).Inc()
			s.conclude(e)
			s.send(settledOf(refOf(e.d)))
		case contentRefused(err) && !e.replaced:
			// No result of a machine may keep its dispatch open for ever.
			e.replaced, e.retryAt = true, time.Time{}
			e.result = &dispatch.Result{Outcome: v1alpha1.DispatchFailed, Execution: result.Execution,
				ErrorCode: v1alpha1.ErrorInvalidOutput, ErrorMessage: "the API server refused to store the result"}
			s.advance(ctx, e)
		}
		s.offer(ctx)
	})
}

// refuse ends a dispatch that was never offered. Saying NotStarted needs a look at the
// live Node first: had a newer session taken over after the dispatch was made, it could
// have offered it without a write. One that takes over later has to claim it, and one of
// the two writes loses.
func (s *session) refuse(ctx context.Context, e *entry, decide holderDecision) {
	s.queue.remove(e)
	s.writeAsHolder(ctx, e, "refuse", decide, s.refused(e))
}

// writeAsHolder is write for a decision that only the holder of the session may take: the
// live Node must still record this one.
func (s *session) writeAsHolder(ctx context.Context, e *entry, step string, decide holderDecision, then func(context.Context, error)) {
	e.busy = true
	d := e.d
	s.work(ctx, func(ctx context.Context) func(context.Context) {
		var node *v1alpha1.Node
		stored, err := s.service.writeStatus(ctx, step, d, func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			live, err := s.service.getNode(ctx, s.key)
			if err != nil {
				return d.Status, false // Decided again later.
			}
			if node = live; node.Status.SessionID != s.id {
				return d.Status, false
			}
			return decide(d, node, now)
		})
		return func(ctx context.Context) {
			if node != nil {
				s.learnNode(ctx, node, false)
			}
			s.wrote(ctx, e, stored, err, then)
		}
	})
}

func (s *session) refused(e *entry) func(context.Context, error) {
	return func(ctx context.Context, err error) {
		switch {
		case err == nil && dispatch.Finished(e.d.Status):
			s.service.metrics.settled.WithLabelValues(string(e.d.Status.Phase)).Inc()
			s.conclude(e)
		case e.result != nil || e.offered:
			s.advance(ctx, e)
		default:
			s.queue.add(e)
			s.wakeIn(blockedRetry)
		}
	}
}

// conclude notes that nothing is left to record. The entry stays until the watch shows
// that the dispatch left: older news may still arrive.
func (s *session) conclude(e *entry) {
	e.settled, e.settledAt = true, s.service.Clock.Now()
	e.asked, e.progress = nil, nil
	s.land(e)
	if e.left {
		delete(s.entries, e.d.UID)
	}
}

// gone concludes a dispatch that was deleted.
func (s *session) gone(e *entry) {
	s.queue.remove(e)
	e.left = true
	if e.result != nil {
		s.send(settledOf(refOf(e.d)))
	} else if e.offered {
		s.sendCancel(e)
	}
	s.conclude(e)
}

func settledOf(ref *gatewayv1.DispatchRef) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{Settled: &gatewayv1.Settled{Dispatch: ref}}}
}

// look reads a dispatch that left the watch without our doing.
func (s *session) look(ctx context.Context, e *entry) {
	e.busy = true
	d := e.d
	s.work(ctx, func(ctx context.Context) func(context.Context) {
		live, err := s.service.liveDispatch(ctx, types.NamespacedName{Namespace: d.Namespace, Name: d.Name}, d.UID)
		return func(ctx context.Context) {
			e.busy = false
			switch {
			case errors.Is(err, errGone):
				s.gone(e)
				return
			case err != nil:
				return // The session is ending.
			}
			e.left = dispatch.Finished(live.Status)
			if newer(live.ResourceVersion, e.d.ResourceVersion) {
				e.d = live
			}
			s.consider(ctx, e)
			s.offer(ctx)
		}
	})
}

// stray handles a result for a dispatch the session does not know: of an earlier session,
// deleted, or not this machine's at all. All but the first are answered alike, so nothing
// can be learned from the answer.
func (s *session) stray(ctx context.Context, ref *gatewayv1.DispatchRef, result *dispatch.Result) {
	if ref.GetNamespace() != s.key.Namespace {
		s.service.metrics.foreign.Inc()
		s.send(settledOf(ref))
		return
	}
	uid := types.UID(ref.GetUid())
	s.work(ctx, func(ctx context.Context) func(context.Context) {
		live, err := s.service.liveDispatch(ctx, types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()}, uid)
		return func(ctx context.Context) {
			switch {
			case errors.Is(err, errGone), err == nil && !s.concerns(live):
				s.service.metrics.foreign.Inc()
				s.send(settledOf(ref))
				return
			case err != nil:
				return // The session is ending; the machine keeps the result.
			}
			e := s.entries[uid]
			if e == nil {
				e = &entry{d: live, offered: true, accepted: true, left: dispatch.Finished(live.Status)}
				s.entries[uid] = e
			}
			s.reported(ctx, e, result)
		}
	})
}

// concerns tells whether a dispatch is this machine's. One that had ended when its Node was made
// was for a machine that had the name before: a Node does not go while one of its dispatches is
// unfinished. Creation times are cut to the second.
func (s *session) concerns(d *v1alpha1.CapabilityDispatch) bool {
	if nodeOf(d) != s.key {
		return false
	}
	ended, made := d.Status.CompletedTime, s.node.CreationTimestamp
	return ended == nil || !ended.Time.Before(made.Add(time.Second))
}

// reported takes in the result of a known dispatch.
func (s *session) reported(ctx context.Context, e *entry, result *dispatch.Result) {
	if e.settled {
		s.send(settledOf(refOf(e.d)))
		return
	}
	s.queue.remove(e)
	s.land(e)
	e.offered = true
	if !e.replaced {
		result.MaxPayloadBytes = e.d.Spec.MaxPayloadBytes
		e.result, e.retryAt = result, time.Time{}
	}
	s.advance(ctx, e)
	s.leaveWhenConfirmed()
	s.offer(ctx)
}
