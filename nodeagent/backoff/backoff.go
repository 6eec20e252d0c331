// Package backoff spaces out retries: exponential with full jitter, so that
// machines which lost the same gateway do not come back together.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is one series of retries. Not for concurrent use.
type Backoff struct {
	// Base is the ceiling of the first delay, Cap of all later ones.
	Base, Cap time.Duration
	// Jitter draws from [0, 1).
	Jitter func() float64

	failures int
}

// New makes a series from base to limit with the usual randomness.
func New(base, limit time.Duration) *Backoff {
	return &Backoff{Base: base, Cap: limit, Jitter: rand.Float64}
}

// Next is the delay before the next try: uniform between zero and a ceiling that
// doubles with every call until Reset.
func (b *Backoff) Next() time.Duration {
	ceiling := b.Cap
	if doublings := b.failures; doublings < 32 && b.Base<<doublings < b.Cap {
		ceiling = b.Base << doublings
	}
	b.failures++
	return time.Duration(b.Jitter() * float64(ceiling))
}

// Reset starts the series over, after a success.
func (b *Backoff) Reset() { b.failures = 0 }

// Sleep waits for d, or until ctx ends and says so.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
