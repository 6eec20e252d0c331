package controllers

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// conflictDelay is the first delay after a lost compare-and-swap, which is no fault.
	conflictDelay = 50 * time.Millisecond
	// failureDelay is the first delay after any other error. With two writes in each reconcile,
	// the first minute has at most 18 of them.
	failureDelay = 250 * time.Millisecond
	// maxFailureDelay bounds the delay: no event announces that a quota or a policy was lifted.
	maxFailureDelay = 30 * time.Second
	// reportAfter is the number of failures in a row after which any error is reported. The API
	// server's refusals are reported at the first one.
	reportAfter = 3
)

// backOff wraps a reconciler: after an error the object is not reconciled again before its delay is
// over, whatever events arrive. The queue's own rate limiter cannot do that: an event, such as
// that of a write which the failed reconcile made itself, enters the queue beside it.
type backOff struct {
	reconciler reconcile.Reconciler
	reporter   failureReporter
	now        func() time.Time

	mu       sync.Mutex
	failures map[reconcile.Request]failure
}

// failure is the state of an object whose last reconcile failed.
type failure struct {
	count    int
	until    time.Time // no reconcile before
	reported string    // message of the last report
}

// failureReporter shows people why an object is not reconciled.
type failureReporter interface {
	// report shows a failure.
	report(ctx context.Context, key client.ObjectKey, failed error) error
	// resolve removes the condition that report set. It runs after every reconcile without an error.
	resolve(ctx context.Context, key client.ObjectKey) error
}

func newBackOff(reconciler reconcile.Reconciler, reporter failureReporter) *backOff {
	return &backOff{reconciler: reconciler, reporter: reporter, now: time.Now, failures: map[reconcile.Request]failure{}}
}

// options returns the options of a controller that runs the reconciler.
func (b *backOff) options(workers int) controller.Options {
	return controller.Options{MaxConcurrentReconciles: workers, RateLimiter: b}
}

// Reconcile runs the reconciler unless the object is backing off.
func (b *backOff) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	if left := b.When(key); left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	result, err := b.reconciler.Reconcile(ctx, key)
	if err == nil {
		err = b.reporter.resolve(ctx, key.NamespacedName)
	}
	if err == nil {
		b.succeed(key)
		return result, nil
	}
	state := b.fail(key, err)
	if apierrors.IsConflict(err) && state.count < reportAfter {
		return ctrl.Result{RequeueAfter: max(b.When(key), time.Millisecond)}, nil
	}
	if reportable := isRefusal(err) || state.count >= reportAfter; reportable && state.reported != err.Error() {
		if unreported := b.reporter.report(ctx, key.NamespacedName, err); unreported != nil {
			ctrl.LoggerFrom(ctx).Error(unreported, "cannot report why the object is not reconciled")
		}
		b.setReported(key, err.Error())
	}
	return ctrl.Result{}, err
}

// isRefusal reports whether the API server refused a write for a reason that stays until a person
// changes the cluster: a quota, a policy, a webhook, a size limit or a missing right.
func isRefusal(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsMethodNotSupported(err)
}

func (b *backOff) fail(key reconcile.Request, err error) failure {
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.failures[key]
	delay := failureDelay
	if apierrors.IsConflict(err) {
		delay = conflictDelay
	}
	for range state.count {
		delay = min(2*delay, maxFailureDelay)
	}
	state.count++
	state.until = b.now().Add(delay)
	b.failures[key] = state
	return state
}

func (b *backOff) setReported(key reconcile.Request, message string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if state, failing := b.failures[key]; failing {
		state.reported = message
		b.failures[key] = state
	}
}

func (b *backOff) succeed(key reconcile.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.failures, key)
}

// When returns the time until the object may be reconciled again; zero or less: now. With Forget
// and NumRequeues it makes backOff the rate limiter of the queue.
func (b *backOff) When(key reconcile.Request) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	state, failing := b.failures[key]
	if !failing {
		return 0
	}
	return state.until.Sub(b.now())
}

// Forget does nothing: the queue calls it after each reconcile without an error, also when the
// object is backing off. A reconcile that succeeds ends the back-off.
func (b *backOff) Forget(reconcile.Request) {}

// NumRequeues returns the number of failures in a row.
func (b *backOff) NumRequeues(key reconcile.Request) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures[key].count
}
