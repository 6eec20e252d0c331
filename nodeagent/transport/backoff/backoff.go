// Package backoff spaces out retries: exponential with full jitter, so that machines which lost the
// same gateway do not reconnect at the same moment.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is one series of retries. It is not for concurrent use.
type Backoff struct {
	// Base is the ceiling of the first delay; Cap is the highest ceiling of the later ones.
	Base, Cap time.Duration
	// Jitter returns a random number in [0, 1).
	Jitter func() float64

	failures int
}

// New returns a series from base to limit that draws its jitter from math/rand.
func New(base, limit time.Duration) *Backoff {
	return &Backoff{Base: base, Cap: limit, Jitter: rand.Float64}
}

// Next returns the delay before the next attempt: uniform between zero and a ceiling that doubles
// with every call until Reset.
func (b *Backoff) Next() time.Duration {
	ceiling := b.Cap
	if doublings := b.failures; doublings < 32 && b.Base<<doublings < b.Cap {
		ceiling = b.Base << doublings
	}
	b.failures++
	return time.Duration(b.Jitter() * float64(ceiling))
}

// Reset starts the series over; call it after a success.
func (b *Backoff) Reset() { b.failures = 0 }

// Sleep waits for d and returns nil, or returns the cause of ctx when ctx ends first.
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
