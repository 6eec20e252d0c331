package controllers_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/mooring-dev/mooring/internal/policy"
)

// gate is the one that all reconcilers ask.
var gate *switchedGate

// prover is the one of the manager.
var prover *policy.Prover

// switchedGate is the real gate, which a test can shut without breaking the policies that all
// the others need.
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

// shutGate shuts the gate for the rest of a test.
func shutGate(t *testing.T) {
	t.Helper()
	gate.shut.Store(true)
	t.Cleanup(openGate)
}

func openGate() { gate.shut.Store(false) }
