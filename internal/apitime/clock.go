// Package apitime tells the time of the API server: what is stored beside creation
// timestamps must come from the same clock. A process learns the difference to its own
// clock from the Date header of every answer, so no request is made for it and a
// skewed replica proves nothing wrong.
package apitime

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// dateResolution is the precision of a Date header (RFC 9110, 5.6.7): it is cut, not rounded.
	dateResolution = time.Second
	// drift is how fast two clocks may part, relative to the time that passed: 100 ppm is
	// what a cheap crystal does.
	drift = 1e-4
)

// Clock tells the API server's time; it is the local time until the first answer was
// seen. It implements clock.PassiveClock and is safe for concurrent use.
type Clock struct {
	local clock.PassiveClock

	mu sync.Mutex
	// The API server is ahead of the local clock by something between low and high, as
	// of the local time asOf; known is false before the first answer.
	low, high time.Duration
	asOf      time.Time
	known     bool
}

var _ clock.PassiveClock = (*Clock)(nil)

// New returns a Clock over the local one.
func New(local clock.PassiveClock) *Clock {
	return &Clock{local: local}
}

// Now is the best estimate of the API server's time, less than a second off.
func (c *Clock) Now() time.Time {
	now := c.local.Now()
	low, high := c.bounds(now)
	return now.Add(low + (high-low)/2)
}

// Since is the time that passed after t, which is a time of the API server.
func (c *Clock) Since(t time.Time) time.Duration {
	return c.Now().Sub(t)
}

// Latest is a time the API server's clock has not reached yet, by less than about a
// second: what the server stamped before this call is earlier.
func (c *Clock) Latest() time.Time {
	now := c.local.Now()
	_, high := c.bounds(now)
	return now.Add(high)
}

// Offset is how far the API server's clock is ahead of the local one, and whether
// that is known.
func (c *Clock) Offset() (time.Duration, bool) {
	low, high := c.bounds(c.local.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	return low + (high-low)/2, c.known
}

func (c *Clock) bounds(now time.Time) (low, high time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slack := c.slack(now)
	return c.low - slack, c.high + slack
}

// slack is by how much the bounds have widened since they were learned.
func (c *Clock) slack(now time.Time) time.Duration {
	if !c.known {
		return 0
	}
	return time.Duration(drift * float64(max(now.Sub(c.asOf), 0)))
}

// observe narrows the bounds by one answer with that Date, which the server wrote
// between the local times sent and received. Bounds that contradict it were made by a
// clock that has jumped since: they are dropped.
func (c *Clock) observe(date, sent, received time.Time) {
	low, high := date.Sub(received), date.Add(dateResolution).Sub(sent)
	if low > high {
		return // The local clock jumped during the request.
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known {
		slack := c.slack(received)
		keptLow, keptHigh := max(low, c.low-slack), min(high, c.high+slack)
		if keptLow <= keptHigh {
			low, high = keptLow, keptHigh
		}
	}
	c.low, c.high, c.asOf, c.known = low, high, received, true
}
