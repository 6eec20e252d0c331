package session

import (
	"context"

	"google.golang.org/grpc/codes"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
)

// applyEvents applies the events of the informers.
func (s *session) applyEvents(ctx context.Context, n informerEvents) {
	if n.node != nil {
		s.applyNode(ctx, n.node, n.nodeDeleted)
	}
	for _, d := range n.dispatches {
		s.do(ctx, s.table.Upsert(s.snapshot(ctx), d))
	}
	for uid := range n.leftDispatches {
		s.do(ctx, s.table.HandleLeft(s.snapshot(ctx), uid))
	}
	if n.refresh {
		s.publisher.RequestRefresh()
		s.publish(ctx)
	}
	if n.drain {
		s.draining = true
		s.send(drainMessage(s.service.randomDuration(s.service.DrainGrace)))
	}
	s.offer(ctx)
}

// offer fills the window of the Node with waiting dispatches.
func (s *session) offer(ctx context.Context) { s.do(ctx, s.table.Offer(s.snapshot(ctx))) }

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
	case deleted && !same, !deleted && !apicall.IsNewerVersion(node.ResourceVersion, s.node.ResourceVersion):
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
		s.publisher.MarkChanged()
		s.do(ctx, s.table.ApplyNode(s.snapshot(ctx)))
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
