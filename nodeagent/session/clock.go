package session

import (
	"sync"
	"time"
)

// Clock is the gateway's time as well as the agent knows it: expiries are given in that time,
// and a machine's own clock may be hours off. Between two tellings it goes on by a timer that
// no correction of the machine's clock moves.
type Clock struct {
	now     func() time.Time
	elapsed func() time.Duration

	mu    sync.Mutex
	told  time.Time // by a gateway, when the timer showed at; zero: never
	at    time.Duration
	ahead time.Duration
}

// NewClock begins with the machine's own time. elapsed is a timer that is never set, and that
// counts on while the machine sleeps: SinceBoot.
func NewClock(now func() time.Time, elapsed func() time.Duration) *Clock {
	return &Clock{now: now, elapsed: elapsed}
}

// Now is the gateway's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.told.IsZero() {
		return c.now().UTC()
	}
	return c.told.Add(c.elapsed() - c.at).UTC()
}

// Observe takes the time a gateway just told.
func (c *Clock) Observe(gateway time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Without its monotonic reading, which another clock made.
	c.told, c.at = gateway.Round(0), c.elapsed()
	c.ahead = gateway.Sub(c.now())
}

// Skew is how far the gateway was ahead of the machine when it told its time.
func (c *Clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}
