package session

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// A session writes its Node's status once every publishInterval, whatever the machine says, and
// publishBurst times at once: a person who puts a capability on a machine and grants it waits for
// two of them.
const (
	publishInterval = 5 * time.Second
	publishBurst    = 4
)

// budget bounds writes; it is the time at which all of publishBurst may be made again.
type budget time.Time

// due is when the next write may be made.
func (b budget) due() time.Time { return time.Time(b).Add(-(publishBurst - 1) * publishInterval) }

// spend counts a write made at now.
func (b *budget) spend(now time.Time) {
	if whole := time.Time(*b); whole.After(now) {
		now = whole
	}
	*b = budget(now.Add(publishInterval))
}

// restore gives a write back that changed nothing.
func (b *budget) restore() { *b = budget(time.Time(*b).Add(-publishInterval)) }

// publish writes the facts to Node.status when they differ from it, in one apply, within the
// budget.
func (s *session) publish(ctx context.Context) {
	if !s.unpublished || s.publishing || s.ended {
		return
	}
	now := s.service.Clock.Now()
	if due := s.publishes.due(); now.Before(due) {
		s.wakeBy(due)
		return
	}
	next := s.facts.compose(s.node, s.stamp())
	s.unpublished = false
	if sameFields(next, fieldsOf(s.node)) && !s.refreshing {
		return
	}
	s.publishes.spend(now)
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
		s.log().Error(err, "cannot write the status of the node")
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
	s.publishes.restore()
	if err != nil {
		s.published(ctx, nil, err)
		return
	}
	s.learnNode(ctx, live, false)
	s.publish(ctx)
}
