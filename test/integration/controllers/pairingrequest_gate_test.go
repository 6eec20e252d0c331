package controllers_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/policy"
)

// gate is the one that all reconcilers ask.
var gate *switchedGate

// switchedGate is the real gate, which a test can shut without breaking the policies that all
// the others need.
type switchedGate struct {
	*policy.Gate
	shut    atomic.Bool
	failing atomic.Pointer[time.Time] // since when; nil: as the real one
}

var errShut = errors.New("shut by a test")

func (g *switchedGate) Check() error {
	if g.shut.Load() {
		return errShut
	}
	return g.Gate.Check()
}

func (g *switchedGate) Failing() (since time.Time, failing bool) {
	if since := g.failing.Load(); since != nil {
		return *since, true
	}
	return g.Gate.Failing()
}

// shutGate shuts the gate for the rest of a test. since, if not nil, is when the policies were
// last good before they were found broken.
func shutGate(t *testing.T, since *time.Time) {
	t.Helper()
	gate.failing.Store(since)
	gate.shut.Store(true)
	t.Cleanup(openGate)
}

func openGate() {
	gate.shut.Store(false)
	gate.failing.Store(nil)
}
