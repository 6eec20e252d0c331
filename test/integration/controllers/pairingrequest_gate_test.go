package controllers_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/mooring-dev/mooring/internal/policy"
)

// gate is the Gate of all reconcilers.
var gate *switchedGate

// prover is the Prover of the manager.
var prover *policy.Prover

// switchedGate is the real gate. A test can close it without breaking the policies that all other
// tests need.
type switchedGate struct {
	*policy.Gate
	shut atomic.Bool
}

var errShut = errors.New("shut by a test")

func (g *switchedGate) Check() error {
	if g.shut.Load() {
		return errShut
	}
	return g.Gate.Check()
}

// shutGate closes the gate for the rest of a test.
func shutGate(t *testing.T) {
	t.Helper()
	gate.shut.Store(true)
	t.Cleanup(openGate)
}

func openGate() { gate.shut.Store(false) }
