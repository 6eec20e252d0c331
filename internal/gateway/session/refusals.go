package session

import "time"

// maxRetry is the longest pause between two attempts of a refused write.
const maxRetry = 30 * time.Second

// postpone delays a dispatch whose write was refused, longer after each refusal.
func (s *session) postpone(e *entry) {
	e.retryAt = s.service.Clock.Now().Add(min(blockedRetryInterval<<min(e.refusals, 8), maxRetry))
	e.refusals++
	s.wakeBy(e.retryAt)
}

// postponed reports whether a dispatch waits after a refused write, and sets the alarm for the
// end of the wait.
func (s *session) postponed(e *entry) bool {
	if !s.service.Clock.Now().Before(e.retryAt) {
		return false
	}
	s.wakeBy(e.retryAt)
	return true
}
