package session

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/mailbox"
)

// nodeDecision is a decision that also depends on the live Node.
type nodeDecision func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool)

// write calls decide and writes the status in a worker. In the actor it then stores the written
// dispatch in e and calls then. If the dispatch was deleted, it calls handleDeleted and not then.
func (s *session) write(ctx context.Context, e *entry, step string, decide mailbox.Decision, then func(context.Context, error)) {
	e.busy = true
	d := e.d
	s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
		stored, err := s.service.mailbox.Write(ctx, step, d, decide)
		return func(ctx context.Context) { s.handleWritten(ctx, e, stored, err, then) }
	})
}

func (s *session) handleWritten(ctx context.Context, e *entry, stored *v1alpha1.CapabilityDispatch, err error, then func(context.Context, error)) {
	e.busy = false
	if errors.Is(err, mailbox.ErrDeleted) {
		s.handleDeleted(e)
		return
	}
	switch {
	case err == nil:
		e.refusals, e.retryAt = 0, time.Time{}
	case ctx.Err() == nil:
		s.log().Error(err, "cannot write the status of a dispatch", "dispatch", e.d.Name)
		s.postpone(e)
	}
	if stored != nil && isNewerVersion(stored.ResourceVersion, e.d.ResourceVersion) {
		e.d = stored
	}
	then(ctx, err)
	switch {
	case e.leftWatch && e.settled:
		delete(s.entries, e.d.UID)
	case e.leftWatch && !e.busy && !dispatch.Finished(e.d.Status):
		s.refreshDispatch(ctx, e) // The dispatch left the watch while a worker wrote it.
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
			s.markSettled(e)
			s.send(settledMessage(refOf(e.d)))
		case apicall.IsContentRefusal(err) && !e.resultReplaced:
			s.debugDispatch("result replaced", e.d, "code", v1alpha1.ErrorInvalidOutput)
			// A result that cannot be stored must not keep its dispatch unfinished forever.
			e.resultReplaced, e.retryAt = true, time.Time{}
			e.result = &dispatch.Result{Outcome: v1alpha1.DispatchFailed, Execution: result.Execution,
				ErrorCode: v1alpha1.ErrorInvalidOutput, ErrorMessage: "the API server refused to store the result"}
			s.advance(ctx, e)
		}
		s.offer(ctx)
	})
}

// settleUnoffered ends a dispatch that was never offered. It reads the live Node before it records
// NotStarted. A newer session that was recorded after the dispatch was created could have offered
// it without a write. A session that is recorded later has to claim the dispatch, and one of the
// two writes fails.
func (s *session) settleUnoffered(ctx context.Context, e *entry, decide nodeDecision) {
	s.queue.remove(e)
	s.writeIfRecorded(ctx, e, "refuse", decide, s.unofferedSettled(e))
}

// writeIfRecorded calls decide and writes the status like write, but only if the live Node still
// records this session.
func (s *session) writeIfRecorded(ctx context.Context, e *entry, step string, decide nodeDecision, then func(context.Context, error)) {
	e.busy = true
	d := e.d
	s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
		var node *v1alpha1.Node
		stored, err := s.service.mailbox.Write(ctx, step, d, func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
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
				s.applyNode(ctx, node, false)
			}
			s.handleWritten(ctx, e, stored, err, then)
		}
	})
}

func (s *session) unofferedSettled(e *entry) func(context.Context, error) {
	return func(ctx context.Context, err error) {
		switch {
		case err == nil && dispatch.Finished(e.d.Status):
			s.service.metrics.settled.WithLabelValues(string(e.d.Status.Phase)).Inc()
			s.markSettled(e)
		case e.result != nil || e.offered:
			s.advance(ctx, e)
		default:
			s.queue.add(e)
			s.wakeIn(blockedRetryInterval)
		}
	}
}

// markSettled marks a dispatch as settled. The entry stays until the watch shows that the dispatch
// left, because older events may still arrive.
func (s *session) markSettled(e *entry) {
	e.settled, e.settledAt = true, s.service.Clock.Now()
	s.debugDispatch("dispatch settled", e.d, "phase", string(e.d.Status.Phase))
	e.approvalRequest, e.progress = nil, nil
	s.releaseSlot(e)
	if e.leftWatch {
		delete(s.entries, e.d.UID)
	}
}

// handleDeleted marks a deleted dispatch as settled. It sends Settled for a result, and Cancel for
// an offer.
func (s *session) handleDeleted(e *entry) {
	s.debugDispatch("dispatch deleted", e.d)
	s.queue.remove(e)
	e.leftWatch = true
	if e.result != nil {
		s.send(settledMessage(refOf(e.d)))
	} else if e.offered {
		s.sendCancel(e)
	}
	s.markSettled(e)
}

func settledMessage(ref *gatewayv1.DispatchRef) *gatewayv1.StreamNodeEventsResponse {
	return &gatewayv1.StreamNodeEventsResponse{Message: &gatewayv1.StreamNodeEventsResponse_Settled{Settled: &gatewayv1.Settled{Dispatch: ref}}}
}

// refreshDispatch reads a dispatch live that left the watch without a write of this session.
func (s *session) refreshDispatch(ctx context.Context, e *entry) {
	e.busy = true
	d := e.d
	s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
		live, err := s.service.mailbox.Read(ctx, types.NamespacedName{Namespace: d.Namespace, Name: d.Name}, d.UID)
		return func(ctx context.Context) {
			e.busy = false
			switch {
			case errors.Is(err, mailbox.ErrDeleted):
				s.handleDeleted(e)
				return
			case err != nil:
				return // The session is ending.
			}
			e.leftWatch = dispatch.Finished(live.Status)
			if isNewerVersion(live.ResourceVersion, e.d.ResourceVersion) {
				e.d = live
			}
			s.reevaluate(ctx, e)
			s.offer(ctx)
		}
	})
}

// handleUnknownResult handles a result for a dispatch that the session does not know. The dispatch
// may be from an earlier session, deleted, or another machine's. The answer is the same in the last
// two cases, so a machine cannot detect the dispatches of others.
func (s *session) handleUnknownResult(ctx context.Context, ref *gatewayv1.DispatchRef, result *dispatch.Result) {
	if ref.GetNamespace() != s.key.Namespace {
		s.debug("result of another machine dropped", "uid", foreign.TruncateLine(ref.GetUid(), maxLoggedUID))
		s.service.metrics.foreign.Inc()
		s.send(settledMessage(ref))
		return
	}
	uid := types.UID(ref.GetUid())
	s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
		live, err := s.service.mailbox.Read(ctx, types.NamespacedName{Namespace: ref.GetNamespace(), Name: ref.GetName()}, uid)
		return func(ctx context.Context) {
			switch {
			case errors.Is(err, mailbox.ErrDeleted), err == nil && !s.belongsToNode(live):
				s.debug("result of an unknown dispatch dropped", "uid", foreign.TruncateLine(ref.GetUid(), maxLoggedUID))
				s.service.metrics.foreign.Inc()
				s.send(settledMessage(ref))
				return
			case err != nil:
				return // The session is ending; the machine keeps the result.
			}
			e := s.entries[uid]
			if e == nil {
				e = &entry{d: live, offered: true, accepted: true, leftWatch: dispatch.Finished(live.Status)}
				s.entries[uid] = e
			}
			s.handleKnownResult(ctx, e, result)
		}
	})
}

// belongsToNode reports whether a dispatch is for this machine. A dispatch that had ended when the
// Node was created was for an earlier machine of that name. The reason is that a Node is not
// removed while one of its dispatches is unfinished. Creation times are truncated to seconds.
func (s *session) belongsToNode(d *v1alpha1.CapabilityDispatch) bool {
	if nodeOf(d) != s.key {
		return false
	}
	ended, created := d.Status.CompletedTime, s.node.CreationTimestamp
	return ended == nil || !ended.Time.Before(created.Add(time.Second))
}

// handleKnownResult handles the result of a known dispatch.
func (s *session) handleKnownResult(ctx context.Context, e *entry, result *dispatch.Result) {
	s.debugDispatch("result received", e.d, "phase", string(result.Outcome), "execution", string(result.Execution))
	if e.settled {
		s.send(settledMessage(refOf(e.d)))
		return
	}
	s.queue.remove(e)
	s.releaseSlot(e)
	e.offered = true
	if !e.resultReplaced {
		result.MaxPayloadBytes = e.d.Spec.MaxPayloadBytes
		e.result, e.retryAt = result, time.Time{}
	}
	s.advance(ctx, e)
	s.stopWhenConfirmed()
	s.offer(ctx)
}
