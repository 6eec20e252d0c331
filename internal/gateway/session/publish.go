package session

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// publish writes the facts to Node.status if they differ from it, in one apply and within the
// budget of the Node.
func (s *session) publish(ctx context.Context) {
	if !s.unpublished || s.publishing || s.ended {
		return
	}
	now := s.service.Clock.Now()
	if due := s.allowance.publishDue(); now.Before(due) {
		s.wakeBy(due)
		return
	}
	next := s.facts.Compose(s.node, s.storedNow())
	s.unpublished = false
	if nodestatus.SameFields(next, nodestatus.FieldsOf(s.node)) && !s.refreshing {
		return
	}
	s.allowance.countWrite(now)
	s.publishing, s.refreshing = true, false
	node := s.node
	s.runInWorker(ctx, func(ctx context.Context) func(context.Context) {
		stored, err := s.service.apply(ctx, node, next)
		if apierrors.IsConflict(err) {
			stored, err = s.service.getNode(ctx, s.key)
			return func(ctx context.Context) { s.handlePublishConflict(ctx, stored, err) }
		}
		return func(ctx context.Context) { s.handlePublished(ctx, stored, err) }
	})
}

func (s *session) handlePublished(ctx context.Context, stored *v1alpha1.Node, err error) {
	s.publishing = false
	if err != nil {
		if apierrors.IsNotFound(err) || ctx.Err() != nil {
			return // The watch delivers the next state of the Node.
		}
		s.log().Error(err, "cannot write the status of the node")
		s.unpublished = true
		s.wakeIn(publishInterval)
		return
	}
	s.lastWrite.Store(s.service.Clock.Now().UnixNano())
	if apicall.IsNewerVersion(stored.ResourceVersion, s.node.ResourceVersion) {
		s.node = stored
	}
	s.publish(ctx)
}

// handlePublishConflict handles a write that met a newer Node. If the newer Node still records this
// session, it composes the facts again over that Node.
func (s *session) handlePublishConflict(ctx context.Context, live *v1alpha1.Node, err error) {
	s.publishing = false
	s.unpublished = true
	s.allowance.refundWrite()
	if err != nil {
		s.handlePublished(ctx, nil, err)
		return
	}
	s.applyNode(ctx, live, false)
	s.publish(ctx)
}
