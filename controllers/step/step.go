// Package step holds how the steps of a reconcile end.
package step

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// DebugWait writes a debug line about a reconcile that changes nothing: the reason, and the time
// after which the object is reconciled again. 0 means that an event follows.
func DebugWait(ctx context.Context, reason string, requeueAfter time.Duration) {
	if log := ctrl.LoggerFrom(ctx).V(1); log.Enabled() {
		log.Info("nothing to change yet", "reason", reason, "requeueAfter", requeueAfter)
	}
}

// PostponedError ends a reconcile that neither failed nor finished its work: it waits for a write
// budget or a proof. The back-off of the object does not change.
type PostponedError struct{ After time.Duration }

func (e *PostponedError) Error() string { return "postponed by " + e.After.String() }

// Postpone returns the error of a reconcile that goes on after a delay.
func Postpone(after time.Duration) error { return &PostponedError{after} }
