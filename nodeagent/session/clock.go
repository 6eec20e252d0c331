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
	return c.reckon()
}

func (c *Clock) reckon() time.Time {
	if c.told.IsZero() {
		return c.now().UTC()
	}
	return c.told.Add(c.elapsed() - c.at).UTC()
}

// Timer is what the timer shows, to be taken before a gateway is asked for its time.
func (c *Clock) Timer() time.Duration { return c.elapsed() }

// Observe takes the time a gateway told when it was asked, which the timer says was at asked. How
// long the answer was under way nobody knows: it is now that time at the earliest, and later by all
// that has passed since at the latest. What the machine reckons stays if it lies between; an answer
// that was held up on its way must not put the clock back, or what has expired would be run.
func (c *Clock) Observe(gateway time.Time, asked time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Without its monotonic reading, which another clock made.
	earliest := gateway.Round(0)
	latest := earliest.Add(max(0, c.elapsed()-asked))
	best := c.reckon()
	switch {
	case best.After(latest), best.Before(earliest) && c.told.IsZero(): // a clock of its own that is slow proves nothing
		best = latest
	case best.Before(earliest):
		best = earliest
	}
	c.told, c.at = best, c.elapsed()
	c.ahead = best.Sub(c.now().Round(0))
}

// Skew is how far the gateway was ahead of the machine when it told its time.
func (c *Clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}
