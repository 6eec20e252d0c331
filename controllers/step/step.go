// Package step defines the steps of a reconcile and how they end.
package step

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/controllers/status"
)

// Step is one step of a reconcile. scope is what the steps of one reconcile share.
type Step[S any] func(ctx context.Context, scope *S) Outcome

// Run runs the steps in their order until one of them ends the reconcile, and returns its outcome.
// It continues if none does.
func Run[S any](ctx context.Context, scope *S, steps ...Step[S]) Outcome {
	for _, run := range steps {
		if outcome := run(ctx, scope); !outcome.Continues() {
			return outcome
		}
	}
	return Continue()
}

// Outcome is how a step ends. The zero value lets the next step run.
type Outcome struct {
	ended   bool
	after   time.Duration // requeue delay; 0: none
	why     string        // why the object waits; "" unless it does
	refusal *status.Reason
	err     error
}

// Continue lets the next step run.
func Continue() Outcome { return Outcome{} }

// Done ends the reconcile: nothing is left to do, or the write that was made is an event.
func Done() Outcome { return Outcome{ended: true} }

// Wait ends the reconcile and requeues the object after a delay; 0 means that an event follows. why
// is for the debug log.
func Wait(after time.Duration, why string) Outcome {
	return Outcome{ended: true, after: after, why: why}
}

// Refuse ends the reconcile of an object that is refused for good.
func Refuse(reason *status.Reason) Outcome { return Outcome{ended: true, refusal: reason} }

// Fail ends the reconcile with an error, which is retried.
func Fail(err error) Outcome { return Outcome{ended: true, err: err} }

// End ends the reconcile: it fails if err is not nil.
func End(err error) Outcome {
	if err != nil {
		return Fail(err)
	}
	return Done()
}

// Postpone ends the reconcile like Wait, but leaves the back-off of the object as it is: the attempt
// showed neither a success nor a failure.
func Postpone(after time.Duration) Outcome { return Fail(&PostponedError{after}) }

// Continues reports whether the next step runs.
func (o Outcome) Continues() bool { return !o.ended }

// Refusal returns the reason why the object is refused, or nil.
func (o Outcome) Refusal() *status.Reason { return o.refusal }

// Err returns the error with which the step failed, or nil.
func (o Outcome) Err() error { return o.err }

// Waits returns the delay and the reason of an object that waits.
func (o Outcome) Waits() (after time.Duration, why string) { return o.after, o.why }

// Result returns the result of the reconcile, and writes a debug line about an object that waits.
// The caller has handled a refusal.
func (o Outcome) Result(ctx context.Context) (ctrl.Result, error) {
	if o.err != nil {
		return ctrl.Result{}, o.err
	}
	if o.why != "" {
		DebugWait(ctx, o.why, o.after)
	}
	return ctrl.Result{RequeueAfter: o.after}, nil
}

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
