package session

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
)

// finishGrace is the time after the end of a session in which received results are still written.
// A result stays in the machine's journal until it is written.
const finishGrace = 3 * time.Second

// finish completes a session after its stream has ended. It waits for running work, records the
// end and removes the session from the registry. cancel ends the work of ctx.
func (s *session) finish(ctx context.Context, cancel context.CancelFunc) {
	defer close(s.closed)
	defer s.service.registry.remove(s)
	s.ended = true
	s.service.metrics.ended.WithLabelValues(s.ending.reason).Inc()
	s.log().Info("session ended", "session", s.id, "reason", s.ending.reason)
	s.do(ctx, s.table.RecordAcceptances(s.snapshot(ctx)))
	s.waitForWorkers(ctx, cancel)
	if s.ending.skipRecord || s.isReplaced() {
		return
	}
	s.recordEnd(context.WithoutCancel(ctx), s.replaced)
}

func (s *session) isReplaced() bool {
	select {
	case <-s.replaced:
		return true
	default:
		return false
	}
}

// waitForWorkers waits for the workers. It cancels their work after finishGrace, or when a newer
// session waits.
func (s *session) waitForWorkers(ctx context.Context, cancel context.CancelFunc) {
	grace := s.service.Clock.NewTimer(finishGrace)
	defer grace.Stop()
	replaced := s.replaced
	for s.running > 0 {
		select {
		case then := <-s.done:
			s.handleWorkerDone(ctx, then)
		case <-grace.C():
			cancel()
			s.pending = nil
		case <-replaced:
			cancel()
			s.pending, replaced = nil, nil
		}
	}
}

// recordEnd writes the end of the session to Node.status. It retries until the write succeeds,
// the Node does not record this session any more, or abandon is closed. The recorded time is not
// earlier than the last offer, by the clock that stamps dispatches.
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
	if ended.Before(&s.facts.Started) {
		ended = s.facts.Started
	}
	s.facts.Ended = &ended
	s.facts.LastEvent = v1alpha1.NodeEvent{Name: s.ending.reason, Time: s.storedNow()}
	node := s.node
	if s.endRecorded = !s.recordedIn(node); s.endRecorded {
		return // The response to a write in flight may have shown a newer session.
	}
	if !s.awaitEndBudget(abandon) {
		return
	}
	for backoff := apicall.NewBackoff(); ; {
		_, err := s.service.apply(ctx, node, s.facts.Compose(node, s.storedNow()))
		if apicall.IsBodyRefusal(err) {
			// The description of a machine must not prevent the end of its session.
			s.log().Error(err, "recording the end of the session without the description of the machine", "session", s.id)
			_, err = s.service.apply(ctx, node, s.facts.WithoutDescription().Compose(node, s.storedNow()))
		}
		switch {
		case err == nil, apierrors.IsNotFound(err):
			s.endRecorded = true
			return
		case ctx.Err() != nil:
			s.log().Info("the end of the session is not recorded", "session", s.id)
			return
		case !apierrors.IsConflict(err):
			s.log().Error(err, "cannot record the end of the session yet", "session", s.id)
			if apicall.Wait(ctx, s.service.Clock.After(backoff.Step())) != nil {
				return
			}
		}
		live, err := s.service.getNode(ctx, s.key)
		if err != nil {
			if s.endRecorded = apierrors.IsNotFound(err); s.endRecorded || apicall.Wait(ctx, s.service.Clock.After(backoff.Step())) != nil {
				return
			}
			continue
		}
		if s.endRecorded = live.UID != node.UID || !s.recordedIn(live); s.endRecorded {
			return
		}
		node = live
	}
}

// awaitEndBudget waits until the end may be written and counts the write. It returns false if abandon
// is closed first. A draining gateway does not wait. A write that is abandoned later still
// counts, because the API server may have executed it.
func (s *session) awaitEndBudget(abandon <-chan struct{}) bool {
	clock := s.service.Clock
	timer := clock.NewTimer(max(s.writes.EndDue().Sub(clock.Now()), 0))
	defer timer.Stop()
	select {
	case <-abandon:
		return false
	case <-s.service.registry.closing:
	case <-timer.C():
	}
	s.writes.Count(clock.Now())
	return true
}

// recordedIn reports whether node records this session as the live one.
func (s *session) recordedIn(node *v1alpha1.Node) bool {
	return node.Status.SessionID == s.id && dispatch.SessionOf(node).Live()
}
