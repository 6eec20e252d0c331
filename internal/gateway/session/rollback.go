package session

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/gateway/apicall"
)

// lateWriteTimeout is the time after which a write that was sent cannot take effect any more: the API
// server ends a request after a minute.
const lateWriteTimeout = 90 * time.Second

// rollbackOpen ends sess if it was recorded although its opening failed. The API server's response
// was lost then, and no other process ends the session while this gateway lives.
func (s *Service) rollbackOpen(ctx context.Context, sess *session, err error) {
	if sess.attemptedResourceVersion == "" || apicall.IsBodyRefusal(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return
	}
	sess.stop(ending{reason: v1alpha1.ReasonSessionLost, err: err})
	ctx = context.WithoutCancel(ctx)
	s.registry.spawn(func() {
		if sess.wasRecorded(ctx, s.abandonEnds) {
			sess.recordEnd(ctx, s.abandonEnds)
		}
	})
}

// wasRecorded reports whether the session was recorded, and sets s.node to the recording Node if so.
// It waits until the write cannot take effect any more.
func (s *session) wasRecorded(ctx context.Context, abandon <-chan struct{}) bool {
	last := s.service.Clock.Now().Add(lateWriteTimeout)
	for backoff := apicall.NewBackoff(); ; {
		live, err := s.service.getNode(ctx, s.key)
		switch {
		case apierrors.IsNotFound(err):
			return false
		case err != nil:
		case live.Status.SessionID == s.id:
			s.node = live
			return dispatch.SessionOf(live).Live()
		case live.ResourceVersion != s.attemptedResourceVersion, s.service.Clock.Now().After(last):
			return false
		}
		select {
		case <-abandon:
			return false
		case <-s.service.Clock.After(backoff.Step()):
		}
	}
}
