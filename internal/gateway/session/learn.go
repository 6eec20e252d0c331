package session

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// learn takes in what the informers showed.
func (s *session) learn(ctx context.Context, n news) {
	if n.node != nil {
		s.learnNode(ctx, n.node, n.nodeGone)
	}
	for _, d := range n.dispatches {
		s.upsert(ctx, d)
	}
	for uid := range n.left {
		s.leave(ctx, uid)
	}
	if n.refresh {
		s.unpublished, s.refreshing = true, true
		s.publish(ctx)
	}
	if n.drain {
		s.draining = true
		s.send(drainMessage(s.service.spread(s.service.DrainGrace)))
	}
	s.offer(ctx)
}

// learnNode cuts the stream when the Node does not let its machine in any more, and steps
// back when the session is not recorded any more. Otherwise a new policy may free or
// refuse what waits.
func (s *session) learnNode(ctx context.Context, node *v1alpha1.Node, gone bool) {
	same := node.UID == s.node.UID
	if same && !gone && node.ResourceVersion == s.node.ResourceVersion {
		// Known from an own write; the cache keeps this one anyway.
		s.node = node
		s.facts.share(&node.Status)
		return
	}
	switch {
	case gone && !same, !gone && !newer(node.ResourceVersion, s.node.ResourceVersion):
		return
	case gone, !same:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded, forget: true,
			err: status.Error(codes.PermissionDenied, "the Node of this machine was deleted; pair it again")})
		return
	}
	changed := node.Generation != s.node.Generation
	s.node = node
	if !s.stillOurs(node) {
		return
	}
	if err := admit(node, s.caller); err != nil {
		s.refuseMachine(ctx, err)
		return
	}
	if changed {
		s.unpublished = true
		for _, e := range s.queue.oldestFirst() {
			s.consider(ctx, e)
		}
		for _, e := range s.entries {
			if e.offered {
				s.advance(ctx, e)
			}
		}
	}
	s.publish(ctx)
}

// stillOurs tells whether node records this session as the live one; if not, the session
// stops and leaves Node.status alone.
func (s *session) stillOurs(node *v1alpha1.Node) bool {
	switch {
	case node.Status.SessionID != s.id:
		s.stop(ending{reason: v1alpha1.ReasonSessionReplaced, err: errReplaced, forget: true})
		return false
	case !dispatch.SessionOf(node).Live():
		s.stop(ending{reason: v1alpha1.ReasonGatewayLost, forget: true,
			err: status.Error(codes.Unavailable, "the controller took the session for lost; connect again")})
		return false
	}
	return true
}

var errReplaced = status.Error(codes.Aborted, "a newer session of this Node won")

// upsert takes in a state of a dispatch.
func (s *session) upsert(ctx context.Context, d *v1alpha1.CapabilityDispatch) {
	e := s.entries[d.UID]
	if e == nil {
		if dispatch.Finished(d.Status) {
			return
		}
		e = &entry{d: d}
		s.entries[d.UID] = e
		if d.Status.Phase != v1alpha1.DispatchQueued {
			// Old news of what this session has forgotten, or another gateway's: what is
			// true now decides.
			s.look(ctx, e)
			return
		}
		s.queue.add(e)
	} else if newer(d.ResourceVersion, e.d.ResourceVersion) {
		e.d, e.left = d, false
	}
	s.consider(ctx, e)
}

// consider looks at an entry again.
func (s *session) consider(ctx context.Context, e *entry) {
	if !e.offered && !e.busy && !e.settled && e.result == nil {
		s.admit(ctx, e)
		return
	}
	s.advance(ctx, e)
}

// leave handles a dispatch that left the watch. The event does not say whether it is
// finished or deleted, so, unless we finished it, it is looked at.
func (s *session) leave(ctx context.Context, uid types.UID) {
	e := s.entries[uid]
	if e == nil {
		return
	}
	e.left = true
	switch {
	case e.settled:
		delete(s.entries, uid)
	case !e.busy:
		s.look(ctx, e)
	}
}
