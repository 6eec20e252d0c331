// Package apitime provides the time of the API server. Times that are stored next to creation
// timestamps must come from the same clock. A process derives the difference to its own clock from
// the Date header of every response. It makes no request for it, and a replica with a skewed clock
// proves nothing wrong.
package apitime

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	// dateResolution is the precision of a Date header (RFC 9110, 5.6.7): the time is cut, not
	// rounded.
	dateResolution = time.Second
	// maxDrift is how fast two clocks may diverge, relative to the time that passed. A cheap crystal
	// reaches 100 ppm.
	maxDrift = 1e-4
)

// Clock provides the API server's time. Before the first response it provides the local time. It
// implements clock.PassiveClock and is safe for concurrent use.
type Clock struct {
	local clock.PassiveClock

	mu sync.Mutex
	// The API server's clock is ahead of the local clock by a duration between low and high, at the
	// local time asOf. known is false before the first response.
	low, high time.Duration
	asOf      time.Time
	known     bool
}

var _ clock.PassiveClock = (*Clock)(nil)

// New returns a Clock that is based on the local clock.
func New(local clock.PassiveClock) *Clock {
	return &Clock{local: local}
}

// Now returns the best estimate of the API server's time. It is at most half a second ahead, or a
// dispatch would expire too early. It is behind by no more than the time that the fastest response
// was under way. A server writes the Date when it has finished, so that its work delays no estimate.
func (c *Clock) Now() time.Time {
	now := c.local.Now()
	low, high := c.bounds(now)
	return now.Add(estimate(low, high))
}

// estimate returns the most likely offset between the bounds.
func estimate(low, high time.Duration) time.Duration {
	return low + min(high-low, dateResolution)/2
}

// Since returns the time that passed after t, which is a time of the API server.
func (c *Clock) Since(t time.Time) time.Duration {
	return c.Now().Sub(t)
}

// Latest returns a time that the API server's clock has not reached yet, by less than about a
// second. A time that the server stamped before this call is earlier.
func (c *Clock) Latest() time.Time {
	now := c.local.Now()
	_, high := c.bounds(now)
	return now.Add(high)
}

// Offset returns how far the API server's clock is ahead of the local clock, and whether that is
// known.
func (c *Clock) Offset() (time.Duration, bool) {
	low, high := c.bounds(c.local.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	return estimate(low, high), c.known
}

func (c *Clock) bounds(now time.Time) (low, high time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slack := c.slack(now)
	return c.low - slack, c.high + slack
}

// slack returns by how much the bounds have widened since the last response.
func (c *Clock) slack(now time.Time) time.Duration {
	if !c.known {
		return 0
	}
	return time.Duration(maxDrift * float64(max(now.Sub(c.asOf), 0)))
}

// observe narrows the bounds by one response with that Date, which the server wrote between the
// local times sent and received. Bounds that contradict it come from a clock that has jumped since.
// They are dropped.
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
