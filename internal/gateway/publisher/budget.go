package publisher

import (
	"sync"
	"time"
)

const (
	// Interval is the time in which the budget of a Node gains one status write.
	Interval = 5 * time.Second
	// Burst is the number of writes of new facts that may be made at once. A person who installs a
	// capability on a machine and grants it waits for two of them.
	Burst = 4
	// EndBurst is the number of writes at once up to which the end of a session is written without a
	// wait.
	EndBurst = 12
	// SessionBurst is the number of writes at once up to which a session may begin. A machine that
	// loses its gateway repeatedly may reconnect about 14 times at once and then every Interval. A new
	// session makes the unwritten end of the previous session obsolete.
	SessionBurst = 20
)

// Budget is the budget of one Node for writes of Node.status. Consecutive sessions share it, so a
// machine gains nothing when it reconnects. It is safe for concurrent use.
type Budget struct {
	mu     sync.Mutex
	fullAt time.Time // local clock: all writes are available from then on
}

// PublishDue returns the next time at which new facts may be written.
func (b *Budget) PublishDue() time.Time { return b.due(Burst) }

// EndDue returns the time from which the end of a session may be written.
func (b *Budget) EndDue() time.Time { return b.due(EndBurst) }

// due returns the earliest time at which one more write stays within burst.
func (b *Budget) due(burst int) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fullAt.Add(-time.Duration(burst-1) * Interval)
}

// AllowSession counts the write of a session that begins at now. If the machine opens sessions too
// often, it returns false and counts nothing.
func (b *Budget) AllowSession(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Before(b.fullAt.Add(-(SessionBurst - 1) * Interval)) {
		return false
	}
	b.count(now)
	return true
}

// Count counts a write at now.
func (b *Budget) Count(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(now)
}

func (b *Budget) count(now time.Time) {
	if b.fullAt.Before(now) {
		b.fullAt = now
	}
	b.fullAt = b.fullAt.Add(Interval)
}

// Refund returns a write that changed nothing to the budget.
func (b *Budget) Refund() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fullAt = b.fullAt.Add(-Interval)
}

// Full reports whether all writes are available at now.
func (b *Budget) Full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.fullAt.After(now)
}
