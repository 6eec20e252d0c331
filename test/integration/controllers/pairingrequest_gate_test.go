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
	closed atomic.Bool
}

var errGateClosed = errors.New("shut by a test")

func (g *switchedGate) Check() error {
	if g.closed.Load() {
		return errGateClosed
	}
	return g.Gate.Check()
}

// closeGate closes the gate for the rest of a test.
func closeGate(t *testing.T) {
	t.Helper()
	gate.closed.Store(true)
	t.Cleanup(openGate)
}

func openGate() { gate.closed.Store(false) }
