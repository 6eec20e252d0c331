// Package gatewaytime estimates the time of the gateways, by which offers expire.
package gatewaytime

import (
	"sync"
	"time"
)

// Clock estimates the gateway's time. Expiries use that time, and a machine's own clock may be
// hours off. Between two answers of a gateway the estimate advances with a timer that no correction
// of the machine's clock moves.
type Clock struct {
	now     func() time.Time
	elapsed func() time.Duration

	mu          sync.Mutex
	estimate    time.Time // the gateway's time when the timer showed estimatedAt; zero before the first answer
	estimatedAt time.Duration
	skew        time.Duration
}

// NewClock returns a Clock that starts with the machine's own time. The timer elapsed is never set
// and counts on while the machine sleeps; see SinceBoot.
func NewClock(now func() time.Time, elapsed func() time.Duration) *Clock {
	return &Clock{now: now, elapsed: elapsed}
}

// Now returns the estimate of the gateway's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.estimateNow()
}

func (c *Clock) estimateNow() time.Time {
	if c.estimate.IsZero() {
		return c.now().UTC()
	}
	return c.estimate.Add(c.elapsed() - c.estimatedAt).UTC()
}

// Elapsed returns the value of the timer. The caller takes it before it asks a gateway for its
// time.
func (c *Clock) Elapsed() time.Duration { return c.elapsed() }

// Observe corrects the clock with the time that a gateway sent. askedAt is the timer's value when
// the agent asked for it, and processing is how long the gateway worked on the answer before it
// read its clock. The transit time of the answer is unknown. The gateway's time now is at least the
// sent time, and at most the sent time plus what has passed since askedAt without processing. An
// estimate between these bounds stays: a delayed answer must not set the clock back, or an expired
// dispatch would run.
func (c *Clock) Observe(gateway time.Time, askedAt, processing time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Round drops the monotonic reading, which comes from another clock.
	earliest := gateway.Round(0)
	latest := earliest.Add(max(0, c.elapsed()-askedAt-max(0, processing)))
	estimate := c.estimateNow()
	switch {
	// The machine's own clock, which counts before the first answer, proves nothing when it is slow.
	case estimate.After(latest), estimate.Before(earliest) && c.estimate.IsZero():
		estimate = latest
	case estimate.Before(earliest):
		estimate = earliest
	}
	c.estimate, c.estimatedAt = estimate, c.elapsed()
	c.skew = estimate.Sub(c.now().Round(0))
}

// Skew returns the lead of the gateway's clock over the machine's clock at the last Observe.
func (c *Clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.skew
}
