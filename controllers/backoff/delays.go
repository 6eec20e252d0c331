package backoff

import (
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Delays stores, for each object whose last attempt failed, the time of the next attempt. It is
// safe for concurrent use.
type Delays struct {
	now func() time.Time

	mu       *sync.Mutex
	failures map[reconcile.Request]failure
}

// failure is the state of an object whose last attempt failed.
type failure struct {
	count     int // consecutive failures
	slowCount int // those of them that waited for refusalDelay or longer
	retryAt   time.Time

	reason, message string // of the last report
	reported        time.Time
}

// NewDelays returns delays without failures.
func NewDelays() Delays {
	return Delays{now: time.Now, mu: &sync.Mutex{}, failures: map[reconcile.Request]failure{}}
}

// When returns the time until the next attempt; zero or less means now. Together with Forget and
// NumRequeues of Reconciler it implements the rate limiter of the queue.
func (d *Delays) When(key reconcile.Request) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	state, failing := d.failures[key]
	if !failing {
		return 0
	}
	return state.retryAt.Sub(d.now())
}

// AddFailure records a failed attempt. It returns the number of consecutive failures, and whether
// this one has to be reported. A message that differs each time is reported once in
// maxFailureDelay.
func (d *Delays) AddFailure(key reconcile.Request, err error) (count int, report bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, state := d.now(), d.failures[key]
	state.retryAt = now.Add(state.delay(err))
	state.count++
	if reason, message := FailureReason(err), err.Error(); IsRefusal(err) || state.count >= reportAfter {
		report = reason != state.reason || message != state.message && now.Sub(state.reported) >= maxFailureDelay
		if report {
			state.reason, state.message, state.reported = reason, message, now
		}
	}
	d.failures[key] = state
	return state.count, report
}

// forgetReport makes the next failure report again, because the last report was not written.
func (d *Delays) forgetReport(key reconcile.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if state, failing := d.failures[key]; failing {
		state.reason, state.message = "", ""
		d.failures[key] = state
	}
}

// delay returns the delay after an error, and counts the slow delays.
func (f *failure) delay(err error) time.Duration {
	quick := failureDelay
	if apierrors.IsConflict(err) {
		quick = ConflictDelay
	}
	if f.count < quickRetries && !IsRefusal(err) {
		return quick << f.count
	}
	f.slowCount++
	delay := refusalDelay
	for range f.slowCount - 1 {
		delay = min(2*delay, maxFailureDelay)
	}
	return delay
}

// ClearFailures ends the delay of an object.
func (d *Delays) ClearFailures(key reconcile.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.failures, key)
}

func (d *Delays) count(key reconcile.Request) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failures[key].count
}
