package session

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// learn applies the events of the informers.
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

// learnNode applies a state of the Node. It stops the session if the machine is not authorized or
// this session is not recorded any more. Otherwise it decides about the waiting dispatches again,
// because the policy may have changed.
func (s *session) learnNode(ctx context.Context, node *v1alpha1.Node, gone bool) {
	same := node.UID == s.node.UID
	if same && !gone && node.ResourceVersion == s.node.ResourceVersion {
		// An own write already returned this state. Share memory with the object in the cache.
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

// stillOurs reports whether node records this session as the live one. If not, it stops the
// session, which then leaves Node.status unchanged.
func (s *session) stillOurs(node *v1alpha1.Node) bool {
	switch {
	case node.Status.SessionID != s.id:
		s.stop(ending{reason: v1alpha1.ReasonSessionReplaced, err: errReplaced, forget: true})
		return false
	case !dispatch.SessionOf(node).Live():
		s.stop(ending{reason: v1alpha1.ReasonGatewayLost, forget: true,
			err: status.Error(codes.Unavailable, "the controller recorded the session as lost; connect again")})
		return false
	}
	return true
}

var errReplaced = status.Error(codes.Aborted, "a newer session of this Node replaced this one")

// upsert applies a state of a dispatch.
func (s *session) upsert(ctx context.Context, d *v1alpha1.CapabilityDispatch) {
	e := s.entries[d.UID]
	if e == nil {
		if dispatch.Finished(d.Status) {
			return
		}
		e = &entry{d: d}
		s.entries[d.UID] = e
		if d.Status.Phase != v1alpha1.DispatchQueued {
			// The event is late, for a dispatch that this session has forgotten, or the dispatch
			// is another gateway's. A live read decides.
			s.look(ctx, e)
			return
		}
		s.queue.add(e)
	} else if newer(d.ResourceVersion, e.d.ResourceVersion) {
		e.d, e.left = d, false
	}
	s.consider(ctx, e)
}

// consider decides about an entry after its facts may have changed.
func (s *session) consider(ctx context.Context, e *entry) {
	if !e.offered && !e.busy && !e.settled && e.result == nil {
		s.admit(ctx, e)
		return
	}
	s.advance(ctx, e)
}

// leave handles a dispatch that left the watch. The event does not show whether the dispatch is
// finished or deleted, so leave reads it live unless this session settled it.
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
