package proof

import (
	"errors"
	"time"
)

// Gate reports whether the admission policies are proven (package policy).
type Gate interface {
	// Check returns nil while requests may be approved and certificates issued.
	Check() error
}

// GateRetryDelay is the interval at which a decision that waits for the proof of the policies is
// retried.
const GateRetryDelay = 2 * time.Second

// GateReason returns why the gate is closed. It omits the outer errors, whose text contains an age:
// the status must be written when something happened, not while time passes.
func GateReason(err error) string {
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(err) {
		err = cause
	}
	return err.Error()
}
