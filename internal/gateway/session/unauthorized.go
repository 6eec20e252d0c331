package session

import (
	"context"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// confirmationGrace is the time that a machine whose Node was revoked gets to confirm the
// cancellation of the dispatches that a person is asked about.
const confirmationGrace = time.Second

// stopUnauthorized ends the session of a machine that is not authorized any more. It first
// withdraws the dispatches that a person is asked about, so that the machine can confirm that
// they did not start.
func (s *session) stopUnauthorized(ctx context.Context, err error) {
	if s.refusal != nil {
		return
	}
	s.debug("machine not authorized any more", "reason", err.Error())
	s.refusal, s.draining = err, true
	s.refusedAt = s.service.Clock.Now()
	s.do(ctx, s.table.WithdrawMediated(s.snapshot(ctx)))
	s.stopWhenConfirmed()
}

// stopWhenConfirmed stops a refused session once the machine has answered every cancellation,
// or after confirmationGrace.
func (s *session) stopWhenConfirmed() {
	if s.refusal == nil {
		return
	}
	end := s.refusedAt.Add(confirmationGrace)
	if s.service.Clock.Now().Before(end) && s.table.AwaitsConfirmation() {
		s.wakeBy(end)
		return
	}
	s.stop(ending{reason: v1alpha1.ReasonSessionEnded, err: s.refusal})
}
