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

// decision returns a status for d and whether to write it. After a conflict it is called again
// with the live object.
type decision func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool)

// holderDecision is a decision that also depends on the live Node.
type holderDecision func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool)

// write calls decide and writes the status in a worker. In the actor it then stores the result of
// the write in e and calls then. If the dispatch was deleted, it concludes e and does not call
// then.
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
		s.look(ctx, e) // The dispatch left the watch while a worker wrote it.
	}
}

// settle writes the result of the machine to the dispatch and then sends Settled, so that the
// machine may forget the result.
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
			// A result that cannot be stored must not keep its dispatch unfinished forever.
			e.replaced, e.retryAt = true, time.Time{}
			e.result = &dispatch.Result{Outcome: v1alpha1.DispatchFailed, Execution: result.Execution,
				ErrorCode: v1alpha1.ErrorInvalidOutput, ErrorMessage: "the API server refused to store the result"}
			s.advance(ctx, e)
		}
		s.offer(ctx)
	})
}

// refuse ends a dispatch that was never offered. It reads the live Node before it records
// NotStarted: a newer session that was recorded after the dispatch was created could have offered
// the dispatch without a write. A session that is recorded later has to claim the dispatch, and
// one of the two writes fails.
func (s *session) refuse(ctx context.Context, e *entry, decide holderDecision) {
	s.queue.remove(e)
	s.writeAsHolder(ctx, e, "refuse", decide, s.refused(e))
}

// writeAsHolder calls decide and writes the status like write, but only if the live Node still
// records this session.
func (s *session) writeAsHolder(ctx context.Context, e *entry, step string, decide holderDecision, then func(context.Context, error)) {
	e.busy = true
	d := e.d
	s.work(ctx, func(ctx context.Context) func(context.Context) {
		var node *v1alpha1.Node
		stored, err := s.service.writeStatus(ctx, step, d, func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			live, err := s.service.getNode(ctx, s.key)
			if err != nil {
				return d.Status, false // The decision is made again later.
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

// conclude marks a dispatch as settled. The entry stays until the watch shows that the dispatch
// left, because older events may still arrive.
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

// look reads a dispatch live that left the watch without a write of this session.
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

// stray handles a result for a dispatch that the session does not know. The dispatch may be from
// an earlier session, deleted, or another machine's. The answer is the same in the last two cases,
// so a machine cannot detect the dispatches of others.
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

// concerns reports whether a dispatch is for this machine. A dispatch that had ended when the Node
// was created was for an earlier machine of that name: a Node is not removed while one of its
// dispatches is unfinished. Creation times are truncated to seconds.
func (s *session) concerns(d *v1alpha1.CapabilityDispatch) bool {
	if nodeOf(d) != s.key {
		return false
	}
	ended, made := d.Status.CompletedTime, s.node.CreationTimestamp
	return ended == nil || !ended.Time.Before(made.Add(time.Second))
}

// reported handles the result of a known dispatch.
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
