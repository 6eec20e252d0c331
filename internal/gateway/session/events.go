package session

import (
	"context"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
)

// applyEvents applies the events of the informers.
func (s *session) applyEvents(ctx context.Context, n informerEvents) {
	if n.node != nil {
		s.applyNode(ctx, n.node, n.nodeDeleted)
	}
	for _, d := range n.dispatches {
		s.upsert(ctx, d)
	}
	for uid := range n.leftDispatches {
		s.handleLeft(ctx, uid)
	}
	if n.refresh {
		s.unpublished, s.refreshing = true, true
		s.publish(ctx)
	}
	if n.drain {
		s.draining = true
		s.send(drainMessage(s.service.randomDuration(s.service.DrainGrace)))
	}
	s.offer(ctx)
}

// applyNode applies a state of the Node. It stops the session if the machine is not authorized or
// this session is not recorded any more. Otherwise it decides about the waiting dispatches again,
// because the policy may have changed.
func (s *session) applyNode(ctx context.Context, node *v1alpha1.Node, deleted bool) {
	same := node.UID == s.node.UID
	if same && !deleted && node.ResourceVersion == s.node.ResourceVersion {
		// An own write already returned this state. Share memory with the object in the cache.
		s.node = node
		s.facts.ShareValues(&node.Status)
		return
	}
	switch {
	case deleted && !same, !deleted && !isNewerVersion(node.ResourceVersion, s.node.ResourceVersion):
		return
	case deleted, !same:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded, skipRecord: true,
			err: denial.New(codes.PermissionDenied, gatewayv1.ReasonNodeDeleted, "the Node of this machine was deleted; pair it again")})
		return
	}
	changed := node.Generation != s.node.Generation
	s.node = node
	if !s.stopUnlessRecorded(node) {
		return
	}
	if err := authorize(node, s.caller); err != nil {
		s.stopUnauthorized(ctx, err)
		return
	}
	if changed {
		s.unpublished = true
		for _, e := range s.queue.oldestFirst() {
			s.reevaluate(ctx, e)
		}
		for _, e := range s.entries {
			if e.offered {
				s.advance(ctx, e)
			}
		}
	}
	s.publish(ctx)
}

// stopUnlessRecorded reports whether node records this session as the live one. If not, it stops the
// session, which then leaves Node.status unchanged.
func (s *session) stopUnlessRecorded(node *v1alpha1.Node) bool {
	switch {
	case node.Status.SessionID != s.id:
		s.stop(ending{reason: v1alpha1.ReasonSessionReplaced, err: errReplaced, skipRecord: true})
		return false
	case !dispatch.SessionOf(node).Live():
		s.stop(ending{reason: v1alpha1.ReasonGatewayLost, skipRecord: true,
			err: denial.New(codes.Unavailable, gatewayv1.ReasonSessionLost, "the controller recorded the session as lost; connect again")})
		return false
	}
	return true
}

var errReplaced = denial.New(codes.Aborted, gatewayv1.ReasonSessionReplaced, "a newer session of this Node replaced this one")

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
			s.refreshDispatch(ctx, e)
			return
		}
		s.queue.add(e)
	} else if isNewerVersion(d.ResourceVersion, e.d.ResourceVersion) {
		e.d, e.leftWatch = d, false
	}
	s.reevaluate(ctx, e)
}

// reevaluate decides about an entry after its facts may have changed.
func (s *session) reevaluate(ctx context.Context, e *entry) {
	if !e.offered && !e.busy && !e.settled && e.result == nil {
		s.admit(ctx, e)
		return
	}
	s.advance(ctx, e)
}

// handleLeft handles a dispatch that left the watch. The event does not show whether the dispatch
// is finished or deleted, so handleLeft reads it live unless this session settled it.
func (s *session) handleLeft(ctx context.Context, uid types.UID) {
	e := s.entries[uid]
	if e == nil {
		return
	}
	e.leftWatch = true
	switch {
	case e.settled:
		delete(s.entries, uid)
	case !e.busy:
		s.refreshDispatch(ctx, e)
	}
}
