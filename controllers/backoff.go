package controllers

import (
	"context"
	"errors"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// conflictDelay is the first delay after a lost compare-and-swap, which is not a failure.
	conflictDelay = 50 * time.Millisecond
	// failureDelay is the first delay after any other error that is not a refusal.
	failureDelay = 250 * time.Millisecond
	// quickRetries is the number of consecutive failures after which only a refusal is likely.
	quickRetries = 2
	// refusalDelay is the first delay after a refusal, and after quickRetries. It doubles: the first
	// minute has at most seven attempts.
	refusalDelay = 2 * time.Second
	// maxFailureDelay bounds the delay: no event announces that a quota or a policy was lifted.
	maxFailureDelay = 30 * time.Second
	// reportAfter is the number of failures in a row after which any error is reported. The API
	// server's refusals are reported at the first one.
	reportAfter = 3
)

// backOff wraps a reconciler: after an error it does not reconcile the object again until the delay
// is over, however many events arrive. The rate limiter of the queue cannot do that: an event, for
// example from a write of the failed reconcile itself, bypasses it.
type backOff struct {
	delays
	reconciler reconcile.Reconciler
	reporter   failureReporter
}

// postponedError ends a reconcile that neither failed nor finished its work: it waits for a write
// budget or a proof. The back-off of the object does not change.
type postponedError struct{ after time.Duration }

func (e *postponedError) Error() string { return "postponed by " + e.after.String() }

func postpone(after time.Duration) error { return &postponedError{after} }

// failureReporter reports to users why an object is not reconciled.
type failureReporter interface {
	// report reports a failure.
	report(ctx context.Context, key client.ObjectKey, failed error) error
	// resolve removes the condition that report set. It runs after every reconcile without an
	// error.
	resolve(ctx context.Context, key client.ObjectKey) error
}

func newBackOff(reconciler reconcile.Reconciler, reporter failureReporter) *backOff {
	return &backOff{reconciler: reconciler, reporter: reporter, delays: newDelays()}
}

// options returns the options of a controller that runs the reconciler.
func (b *backOff) options(workers int) controller.Options {
	return controller.Options{MaxConcurrentReconciles: workers, RateLimiter: b}
}

// Reconcile runs the reconciler unless the object is backing off.
func (b *backOff) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	if remaining := b.When(key); remaining > 0 {
		debugWait(ctx, "the object backs off after a failure", remaining)
		return ctrl.Result{RequeueAfter: remaining}, nil
	}
	result, err := b.reconciler.Reconcile(ctx, key)
	if postponed := (*postponedError)(nil); errors.As(err, &postponed) {
		debugWait(ctx, "a write budget or a proof is awaited", postponed.after)
		return ctrl.Result{RequeueAfter: postponed.after}, nil
	}
	if err == nil {
		err = b.reporter.resolve(ctx, key.NamespacedName)
	}
	if err == nil {
		b.clearFailures(key)
		return result, nil
	}
	count, report := b.addFailure(key, err)
	if report {
		if reportErr := b.reporter.report(ctx, key.NamespacedName, err); reportErr != nil {
			ctrl.LoggerFrom(ctx).Error(reportErr, "cannot report why the object is not reconciled")
			if !isRefusal(reportErr) {
				b.forgetReport(key)
			}
		}
	}
	if apierrors.IsConflict(err) && count < reportAfter {
		debugWait(ctx, "another writer changed the object", max(b.When(key), time.Millisecond))
		return ctrl.Result{RequeueAfter: max(b.When(key), time.Millisecond)}, nil
	}
	return ctrl.Result{}, err
}

// Forget does nothing. The queue calls it after each reconcile without an error, even while the
// object is backing off. Only a successful reconcile ends the back-off.
func (b *backOff) Forget(reconcile.Request) {}

// NumRequeues returns the number of consecutive failures.
func (b *backOff) NumRequeues(key reconcile.Request) int { return b.count(key) }

// isRefusal reports whether the API server refused a write for a reason that persists until a
// person changes the cluster. Such reasons are a quota, a policy, a webhook, a size limit or a
// missing right.
func isRefusal(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	switch code := status.Status().Code; code {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusGone, http.StatusTooManyRequests:
		return false
	default:
		return code >= http.StatusBadRequest && code < http.StatusInternalServerError
	}
}
