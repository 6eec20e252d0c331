package session

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// missedHeartbeats is how many heartbeat intervals of silence end a session.
const missedHeartbeats = 3

// staleFactor times Options.StaleAfter is when sessions close behind a lagging watch.
const staleFactor = 5

// tick does what time asks for and finds the next time to wake. It is the only place
// that walks over all entries.
func (s *session) tick(ctx context.Context) {
	now := s.service.Clock.Now()
	s.wakeAt = now.Add(idleTimer)
	s.checkLife(now)
	if s.changed != nil {
		s.takeChange(ctx)
	}
	for uid, e := range s.entries {
		if e.forgettable(now) {
			delete(s.entries, uid)
			continue
		}
		s.advance(ctx, e)
	}
	s.offer(ctx)
	s.publish(ctx)
}

// checkLife ends a session that is silent, too old, or behind a watch that shows nothing.
func (s *session) checkLife(now time.Time) {
	s.leaveWhenConfirmed()
	silentAt := s.lastHeard.Add(missedHeartbeats * s.service.HeartbeatInterval)
	switch {
	case !now.Before(silentAt):
		s.stop(ending{reason: v1alpha1.ReasonSessionLost,
			err: status.Error(codes.DeadlineExceeded, "no heartbeat arrived in time; connect again")})
	case !now.Before(s.oldAt):
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded,
			err: status.Error(codes.Unavailable, "the session has lasted long enough; connect again")})
	case s.service.lag() > staleFactor*s.service.StaleAfter:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded,
			err: status.Error(codes.Unavailable, "the gateway cannot reach its cluster; connect to another one")})
	}
	s.wakeBy(silentAt)
	s.wakeBy(s.oldAt)
}

// wakeFor sets the alarm for what time alone will change about e.
func (s *session) wakeFor(e *entry) {
	now := s.service.Time.Now()
	switch {
	case e.busy || e.settled || e.result != nil || dispatch.Finished(e.d.Status):
	case !e.offered:
		s.wakeIn(dispatch.Expires(e.d).Sub(now))
	default:
		s.wakeIn(e.giveUpAt(s.service.ReportGrace).Sub(now))
	}
}
