// Package backoff delays the next reconcile of an object that failed, however many events arrive.
package backoff

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

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/step"
)

const (
	// ConflictDelay is the first delay after a lost compare-and-swap, which is not a failure.
	ConflictDelay = 50 * time.Millisecond
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

// Reconciler wraps a reconciler: after an error it does not reconcile the object again until the
// delay is over, however many events arrive. The rate limiter of the queue cannot do that: an event, for
// example from a write of the failed reconcile itself, bypasses it.
type Reconciler struct {
	Delays
	reconciler reconcile.Reconciler
	reporter   Reporter
}

// Reporter reports to users why an object is not reconciled.
type Reporter interface {
	// Report reports a failure.
	Report(ctx context.Context, key client.ObjectKey, failed error) error
	// Resolve removes the condition that Report set. It runs after every reconcile without an
	// error.
	Resolve(ctx context.Context, key client.ObjectKey) error
}

// New returns a wrapper of reconciler that reports its failures to reporter.
func New(reconciler reconcile.Reconciler, reporter Reporter) *Reconciler {
	return &Reconciler{reconciler: reconciler, reporter: reporter, Delays: NewDelays()}
}

// Options returns the options of a controller that runs the reconciler.
func (b *Reconciler) Options(workers int) controller.Options {
	return controller.Options{MaxConcurrentReconciles: workers, RateLimiter: b}
}

// Reconcile runs the reconciler unless the object is backing off.
func (b *Reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	if remaining := b.When(key); remaining > 0 {
		step.DebugWait(ctx, "the object backs off after a failure", remaining)
		return ctrl.Result{RequeueAfter: remaining}, nil
	}
	result, err := b.reconciler.Reconcile(ctx, key)
	if postponed := (*step.PostponedError)(nil); errors.As(err, &postponed) {
		step.DebugWait(ctx, "a write budget or a proof is awaited", postponed.After)
		return ctrl.Result{RequeueAfter: postponed.After}, nil
	}
	if err == nil {
		err = b.reporter.Resolve(ctx, key.NamespacedName)
	}
	if err == nil {
		b.ClearFailures(key)
		return result, nil
	}
	count, report := b.AddFailure(key, err)
	if report {
		if reportErr := b.reporter.Report(ctx, key.NamespacedName, err); reportErr != nil {
			ctrl.LoggerFrom(ctx).Error(reportErr, "cannot report why the object is not reconciled")
			if !IsRefusal(reportErr) {
				b.forgetReport(key)
			}
		}
	}
	if apierrors.IsConflict(err) && count < reportAfter {
		step.DebugWait(ctx, "another writer changed the object", max(b.When(key), time.Millisecond))
		return ctrl.Result{RequeueAfter: max(b.When(key), time.Millisecond)}, nil
	}
	return ctrl.Result{}, err
}

// Forget does nothing. The queue calls it after each reconcile without an error, even while the
// object is backing off. Only a successful reconcile ends the back-off.
func (b *Reconciler) Forget(reconcile.Request) {}

// NumRequeues returns the number of consecutive failures.
func (b *Reconciler) NumRequeues(key reconcile.Request) int { return b.count(key) }

// IsRefusal reports whether the API server refused a write for a reason that persists until a
// person changes the cluster. Such reasons are a quota, a policy, a webhook, a size limit or a
// missing right.
func IsRefusal(err error) bool {
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

// FailureReason returns the reason of a condition or an event about a failed reconcile.
func FailureReason(failed error) string {
	if IsRefusal(failed) {
		return v1alpha1.ReasonWriteRefused
	}
	return v1alpha1.ReasonReconcileFailed
}

// CacheRetryDelay is the requeue delay when the cache may not have caught up yet.
const CacheRetryDelay = time.Second

// MaxConcurrentReconciles is the number of concurrent reconciles per kind: each waits for several
// API calls, and each write is a round trip to etcd.
const MaxConcurrentReconciles = 8
