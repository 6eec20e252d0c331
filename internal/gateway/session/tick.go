package session

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
)

// missedHeartbeats is the number of heartbeat intervals without a message that ends a session.
const missedHeartbeats = 3

// staleFactor times Options.StaleAfter is the lag of the Node watch at which sessions close.
const staleFactor = 5

// tick handles everything that is due and sets the next alarm.
func (s *session) tick(ctx context.Context) {
	now := s.service.Clock.Now()
	s.wakeAt = now.Add(idleTimer)
	s.stopIfExpired(now)
	if s.pendingCapabilities != nil {
		s.applyPendingCapabilities(ctx)
	}
	s.do(ctx, s.table.Tick(s.snapshot(ctx)))
	s.publish(ctx)
}

// stopIfExpired ends a session that is silent or too old, or whose Node watch lags too much.
func (s *session) stopIfExpired(now time.Time) {
	s.stopWhenConfirmed()
	silentAt := s.lastMessageAt.Add(missedHeartbeats * s.service.HeartbeatInterval)
	switch {
	case !now.Before(silentAt):
		s.stop(ending{reason: v1alpha1.ReasonSessionLost,
			err: status.Error(codes.DeadlineExceeded, "no heartbeat arrived in time; connect again")})
	case !now.Before(s.maxAgeAt):
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded,
			err: denial.New(codes.Unavailable, gatewayv1.ReasonSessionTooOld, "the session reached its maximum age; connect again")})
	case s.service.lag() > staleFactor*s.service.StaleAfter:
		s.stop(ending{reason: v1alpha1.ReasonSessionEnded,
			err: denial.New(codes.Unavailable, gatewayv1.ReasonClusterUnreachable, "the gateway cannot reach its cluster; connect to another one")})
	}
	s.wakeBy(silentAt)
	s.wakeBy(s.maxAgeAt)
}
