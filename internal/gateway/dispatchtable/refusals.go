package dispatchtable

import "time"

// maxRetry is the longest pause between two attempts of a refused write.
const maxRetry = 30 * time.Second

// postpone delays a dispatch whose write was refused, longer after each refusal.
func (t *Table) postpone(e *entry) {
	e.retryAt = t.now.Local.Add(min(blockedRetryInterval<<min(e.refusals, 8), maxRetry))
	e.refusals++
	t.wakeBy(e.retryAt)
}

// postponed reports whether a dispatch waits after a refused write, and sets the alarm for the
// end of the wait.
func (t *Table) postponed(e *entry) bool {
	if !t.now.Local.Before(e.retryAt) {
		return false
	}
	t.wakeBy(e.retryAt)
	return true
}
