package session

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/publisher"
)

// publish writes the facts to Node.status if they differ from it, in one apply and within the
// budget of the Node.
func (s *session) publish(ctx context.Context) {
	if s.ended {
		return
	}
	var next nodestatus.Fields
	write, dueAt := s.publisher.Begin(s.service.Clock.Now(), func() bool {
		next = s.facts.Compose(s.node, s.storedNow())
		return !nodestatus.SameFields(next, nodestatus.FieldsOf(s.node))
	})
	if !dueAt.IsZero() {
		s.wakeBy(dueAt)
	}
	if !write {
		return
	}
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
	switch {
	case err == nil:
	case apierrors.IsNotFound(err), ctx.Err() != nil:
		s.publisher.Written()
		return // The watch delivers the next state of the Node.
	default:
		s.publisher.Failed()
		s.log().Error(err, "cannot write the status of the node")
		s.wakeIn(publisher.Interval)
		return
	}
	s.publisher.Written()
	s.lastWrite.Store(s.service.Clock.Now().UnixNano())
	if apicall.IsNewerVersion(stored.ResourceVersion, s.node.ResourceVersion) {
		s.node = stored
	}
	s.publish(ctx)
}

// handlePublishConflict handles a write that met a newer Node. If the newer Node still records this
// session, it composes the facts again over that Node.
func (s *session) handlePublishConflict(ctx context.Context, live *v1alpha1.Node, err error) {
	s.publisher.Conflicted()
	switch {
	case err == nil:
		s.applyNode(ctx, live, false)
		s.publish(ctx)
	case apierrors.IsNotFound(err), ctx.Err() != nil:
	default:
		s.log().Error(err, "cannot read the node after a conflict")
		s.wakeIn(publisher.Interval)
	}
}
