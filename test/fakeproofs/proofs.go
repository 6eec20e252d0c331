// Package fakeproofs fakes the proofs of the admission policies for tests of the reconcilers.
package fakeproofs

import (
	"time"

	"github.com/mooring-dev/mooring/internal/policy"
)

// Proofs implements proof.Proofs with values that a test sets.
type Proofs struct {
	Epoch policy.Epoch
	First bool
	OK    bool
}

// Current returns the Epoch.
func (p *Proofs) Current() (epoch policy.Epoch, first, ok bool) { return p.Epoch, p.First, p.OK }

// Failing reports whether the policies count as disproved.
func (p *Proofs) Failing() bool { return !p.OK }

// ProvenAfter reports whether the Epoch ends after t.
func (p *Proofs) ProvenAfter(t time.Time) bool { return p.OK && p.Epoch.Until.After(t) }

// Request does nothing.
func (p *Proofs) Request() {}

// OnEpoch does nothing.
func (p *Proofs) OnEpoch(policy.EpochHook) {}

// Covers returns whether a time is in the Epoch.
func (p *Proofs) Covers(created time.Time) (policy.Coverage, policy.Epoch) {
	switch {
	case created.Before(p.Epoch.Since):
		return policy.Uncovered, policy.Epoch{}
	case created.Before(p.Epoch.Until):
		return policy.Covered, p.Epoch
	}
	return policy.Awaiting, policy.Epoch{}
}
