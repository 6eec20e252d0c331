package session

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// finishGrace is how long results that arrived before the end may take to be written.
// They stay in the machine's journal until they are.
const finishGrace = 3 * time.Second

// finish is the rest of a session after its stream: what runs is waited for, the end is
// recorded, the place is given up. cancel ends the work of ctx.
func (s *session) finish(ctx context.Context, cancel context.CancelFunc) {
	defer close(s.closed)
	defer s.service.registry.remove(s)
	s.ended = true
	s.service.metrics.ended.WithLabelValues(s.ending.reason).Inc()
	s.log().Info("session ended", "session", s.id, "reason", s.ending.reason)
	s.noteAcceptances(ctx)
	s.settleRest(ctx, cancel)
	if s.ending.forget || s.isReplaced() {
		return
	}
	s.recordEnd(context.WithoutCancel(ctx), s.replaced)
}

// noteAcceptances records what the machine was heard to accept, where that is not stored yet:
// should it come back with a journal that does not know of it, the journal is an old copy.
func (s *session) noteAcceptances(ctx context.Context) {
	gateway := s.service.Gateway
	for _, e := range s.entries {
		if !e.unnoted() || e.busy || e.result != nil {
			continue
		}
		s.write(ctx, e, "dispatched", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
			return dispatch.Dispatched(d.Status, gateway, now), !dispatch.Finished(d.Status)
		}, func(context.Context, error) {})
	}
}

// acceptances are what noteAcceptances could not store any more. The session must have closed.
func (s *session) acceptances() map[types.UID]bool {
	heard := map[types.UID]bool{}
	for uid, e := range s.entries {
		if e.unnoted() {
			heard[uid] = true
		}
	}
	return heard
}

// unnoted tells whether the machine accepted the dispatch and its status does not say so.
func (e *entry) unnoted() bool {
	return e.accepted && !e.settled && !dispatch.Finished(e.d.Status) && !dispatch.Accepted(e.d.Status)
}

func (s *session) isReplaced() bool {
	select {
	case <-s.replaced:
		return true
	default:
		return false
	}
}

// settleRest lets the workers finish; after the grace, or when a newer session waits,
// what they do is cancelled.
func (s *session) settleRest(ctx context.Context, cancel context.CancelFunc) {
	grace := s.service.Clock.NewTimer(finishGrace)
	defer grace.Stop()
	replaced := s.replaced
	for s.running > 0 {
		select {
		case then := <-s.done:
			s.worked(ctx, then)
		case <-grace.C():
			cancel()
			s.pending = nil
		case <-replaced:
			cancel()
			s.pending, replaced = nil, nil
		}
	}
}

// recordEnd writes that the session ended, until it is written, the session is not the
// recorded one any more, or abandon is closed. The time is not earlier than the last
// offer, by the clock that stamps dispatches.
func (s *session) recordEnd(ctx context.Context, abandon <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.service.registry.spawn(func() {
		select {
		case <-abandon:
			cancel()
		case <-ctx.Done():
		}
	})
	ended := metav1.NewTime(s.service.Time.Latest().Truncate(time.Second).Add(time.Second))
	if ended.Before(&s.facts.started) {
		ended = s.facts.started
	}
	s.facts.ended = &ended
	s.facts.lastEvent = v1alpha1.NodeEvent{Name: s.ending.reason, Time: s.stamp()}
	node := s.node
	if s.buried = !s.recordedIn(node); s.buried {
		return // A write that was under way at the end may have shown a newer session.
	}
	if !s.awaitEnd(abandon) {
		return
	}
	for backoff := retries(); ; {
		_, err := s.service.apply(ctx, node, s.facts.compose(node, s.stamp()))
		if refusedBody(err) {
			// Whatever a machine said of itself, its session ends.
			s.log().Error(err, "recording the end of the session without the description of the machine", "session", s.id)
			_, err = s.service.apply(ctx, node, s.facts.bare().compose(node, s.stamp()))
		}
		switch {
		case err == nil, apierrors.IsNotFound(err):
			s.buried = true
			return
		case ctx.Err() != nil:
			s.log().Info("the end of the session is not recorded", "session", s.id)
			return
		case !apierrors.IsConflict(err):
			s.log().Error(err, "cannot record the end of the session yet", "session", s.id)
			if pause(ctx, s.service.Clock.After(backoff.Step())) != nil {
				return
			}
		}
		live, err := s.service.getNode(ctx, s.key)
		if err != nil {
			if s.buried = apierrors.IsNotFound(err); s.buried || pause(ctx, s.service.Clock.After(backoff.Step())) != nil {
				return
			}
			continue
		}
		if s.buried = live.UID != node.UID || !s.recordedIn(live); s.buried {
			return
		}
		node = live
	}
}

// awaitEnd waits until the end may be written and counts the write. It returns false when abandon
// is closed before. A gateway that drains does not wait. A write that is abandoned later still
// counts: the API server may have carried it out.
func (s *session) awaitEnd(abandon <-chan struct{}) bool {
	clock := s.service.Clock
	timer := clock.NewTimer(max(s.endDue().Sub(clock.Now()), 0))
	defer timer.Stop()
	select {
	case <-abandon:
		return false
	case <-s.service.registry.closing:
	case <-timer.C():
	}
	s.spend(clock.Now())
	return true
}

// recordedIn tells whether node records this session as the live one.
func (s *session) recordedIn(node *v1alpha1.Node) bool {
	return node.Status.SessionID == s.id && dispatch.SessionOf(node).Live()
}
