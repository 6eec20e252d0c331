package session

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// publishInterval is how often a session writes its Node's status at most, whatever the
// machine says.
const publishInterval = 5 * time.Second

// publish writes the facts to Node.status when they differ from it, in one apply, at most
// every publishInterval.
func (s *session) publish(ctx context.Context) {
	if !s.unpublished || s.publishing || s.ended {
		return
	}
	now := s.service.Clock.Now()
	if now.Before(s.publishAt) {
		s.wakeBy(s.publishAt)
		return
	}
	next := s.facts.compose(s.node, s.stamp())
	s.unpublished, s.publishAt = false, now.Add(publishInterval)
	if sameFields(next, fieldsOf(s.node)) && !s.refreshing {
		return
	}
	s.publishing, s.refreshing = true, false
	node := s.node
	s.work(ctx, func(ctx context.Context) func(context.Context) {
		stored, err := s.service.apply(ctx, node, next)
		if apierrors.IsConflict(err) {
			stored, err = s.service.getNode(ctx, s.key)
			return func(ctx context.Context) { s.conflicted(ctx, stored, err) }
		}
		return func(ctx context.Context) { s.published(ctx, stored, err) }
	})
}

func (s *session) published(ctx context.Context, stored *v1alpha1.Node, err error) {
	s.publishing = false
	if err != nil {
		if apierrors.IsNotFound(err) || ctx.Err() != nil {
			return // The watch tells what became of the Node.
		}
		s.log.Error(err, "cannot write the status of the node")
		s.unpublished = true
		s.wakeIn(publishInterval)
		return
	}
	s.lastWrite.Store(s.service.Clock.Now().UnixNano())
	if newer(stored.ResourceVersion, s.node.ResourceVersion) {
		s.node = stored
	}
	s.publish(ctx)
}

// conflicted looks whose session it is now; if it is still ours, the facts are composed
// again over the newer Node.
func (s *session) conflicted(ctx context.Context, live *v1alpha1.Node, err error) {
	s.publishing = false
	s.unpublished = true
	s.publishAt = s.service.Clock.Now()
	if err != nil {
		s.published(ctx, nil, err)
		return
	}
	s.learnNode(ctx, live, false)
	s.publish(ctx)
}
