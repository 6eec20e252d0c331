package backoff

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/controllers/step"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeReporter is a Reporter that records its calls. Each report returns err.
type fakeReporter struct {
	reported, resolved []string
	err                error
}

func (l *fakeReporter) Report(_ context.Context, _ client.ObjectKey, failed error) error {
	l.reported = append(l.reported, failed.Error())
	return l.err
}

func (l *fakeReporter) Resolve(_ context.Context, key client.ObjectKey) error {
	l.resolved = append(l.resolved, key.Name)
	return nil
}

var (
	errQuota    = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "code", errors.New("exceeded quota"))
	errChanged  = apierrors.NewConflict(schema.GroupResource{Resource: "nodes"}, "box", errors.New("the object has been modified"))
	errTimeout  = apierrors.NewServerTimeout(schema.GroupResource{Resource: "nodes"}, "get", 1)
	failingCode = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "fleet", Name: "code"}}
)

// A burst of events, for example from writes of the failed reconcile itself, must not shorten the
// delay.
func TestEventsDoNotBypassTheBackOff(t *testing.T) {
	tests := map[string]struct {
		err  error
		most int
	}{
		"a refusal":          {errQuota, 5},
		"a lasting conflict": {errChanged, 7},
		"a timeout":          {errTimeout, 7},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			runs, now, log := 0, start, &fakeReporter{}
			b := New(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
				runs++
				return ctrl.Result{}, test.err
			}), log)
			b.now = func() time.Time { return now }
			for now.Before(start.Add(time.Minute)) {
				result, err := b.Reconcile(t.Context(), failingCode)
				if err == nil && result.RequeueAfter <= 0 {
					t.Fatal("a failed object lost its back-off")
				}
				if wait := b.When(failingCode); wait <= 0 || wait > maxFailureDelay {
					t.Fatalf("the delay before the next attempt is %s", wait)
				}
				b.Forget(failingCode) // as the queue does after each early return
				now = now.Add(10 * time.Millisecond)
			}
			if runs < 4 || runs > test.most {
				t.Errorf("%d reconciles in a minute, want at most %d", runs, test.most)
			}
			if len(log.reported) != 1 || len(log.resolved) != 0 {
				t.Errorf("reported %q, resolved %q", log.reported, log.resolved)
			}
		})
	}
}

// A webhook may put the name of the object or the time into its message.
func TestAMessageThatDiffersEachTimeIsNotReportedEachTime(t *testing.T) {
	runs, now, log := 0, start, &fakeReporter{}
	b := New(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
		runs++
		return ctrl.Result{}, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "code", fmt.Errorf("attempt %d", runs))
	}), log)
	b.now = func() time.Time { return now }
	for now.Before(start.Add(time.Minute)) {
		_, _ = b.Reconcile(t.Context(), failingCode)
		now = now.Add(10 * time.Millisecond)
	}
	if len(log.reported) > 2 {
		t.Errorf("%d of %d attempts are reported: %q", len(log.reported), runs, log.reported)
	}
}

// Users must see why an object waits, even if the first write of the condition was lost. A refused
// condition is not written again at each attempt.
func TestAReportThatWasNotWrittenIsRepeated(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want int
	}{
		"conflict": {errChanged, 4}, "timeout": {errTimeout, 4}, "refusal": {errQuota, 1}, "written": {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			now, log := start, &fakeReporter{err: test.err}
			b := New(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) { return ctrl.Result{}, errQuota }), log)
			b.now = func() time.Time { return now }
			for range 4 {
				_, _ = b.Reconcile(t.Context(), failingCode)
				now = now.Add(b.When(failingCode))
			}
			if len(log.reported) != test.want {
				t.Errorf("%d reports of 4 failures, want %d", len(log.reported), test.want)
			}
		})
	}
}

// A postponed attempt reveals nothing about the refusal.
func TestAPostponedReconcileKeepsTheBackOff(t *testing.T) {
	now, log := start, &fakeReporter{}
	var failed error = errQuota
	b := New(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) { return ctrl.Result{}, failed }), log)
	b.now = func() time.Time { return now }
	_, _ = b.Reconcile(t.Context(), failingCode)
	now = now.Add(refusalDelay)
	_, _ = b.Reconcile(t.Context(), failingCode)
	now = now.Add(2 * refusalDelay)
	postponed := b.failures[failingCode]
	failed = nil
	b.reconciler = reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
		return ctrl.Result{}, &step.PostponedError{After: time.Second}
	})
	result, err := b.Reconcile(t.Context(), failingCode)
	if err != nil || result.RequeueAfter != time.Second || b.failures[failingCode] != postponed || len(log.resolved) != 0 {
		t.Errorf("%v, %v, failures %v, resolved %q", result, err, b.failures, log.resolved)
	}
}

func TestEveryKindOfRefusalIsRecognised(t *testing.T) {
	status := func(code int32, reason metav1.StatusReason) error {
		return fmt.Errorf("save: %w", errors.Join(errors.New("first"), &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: reason}}))
	}
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"quota":                          {status(403, metav1.StatusReasonForbidden), true},
		"policy":                         {status(422, metav1.StatusReasonInvalid), true},
		"policy that says Unauthorized":  {status(401, metav1.StatusReasonUnauthorized), true},
		"webhook without a reason":       {status(400, ""), true},
		"webhook with its own code":      {status(418, ""), true},
		"too large":                      {status(413, metav1.StatusReasonRequestEntityTooLarge), true},
		"conflict":                       {status(409, metav1.StatusReasonConflict), false},
		"gone":                           {status(404, metav1.StatusReasonNotFound), false},
		"busy":                           {status(429, metav1.StatusReasonTooManyRequests), false},
		"webhook that cannot be reached": {status(500, metav1.StatusReasonInternalError), false},
		"connection":                     {errors.New("connection refused"), false},
	} {
		if got := IsRefusal(test.err); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestASuccessEndsTheBackOff(t *testing.T) {
	now, log := start, &fakeReporter{}
	var failed error = errQuota
	b := New(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
		if failed == nil {
			return ctrl.Result{RequeueAfter: time.Hour}, nil
		}
		return ctrl.Result{}, failed
	}), log)
	b.now = func() time.Time { return now }
	if _, err := b.Reconcile(t.Context(), failingCode); !errors.Is(err, errQuota) {
		t.Fatalf("error is %v", err)
	}
	failed = nil
	now = now.Add(refusalDelay)
	result, err := b.Reconcile(t.Context(), failingCode)
	if err != nil || result.RequeueAfter != time.Hour || len(log.resolved) != 1 || len(b.failures) != 0 {
		t.Errorf("%v, %v, resolved %q, failures %v", result, err, log.resolved, b.failures)
	}
}

func TestOneConflictIsNoFault(t *testing.T) {
	log := &fakeReporter{}
	b := New(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) { return ctrl.Result{}, errChanged }), log)
	result, err := b.Reconcile(t.Context(), failingCode)
	if err != nil || result.RequeueAfter <= 0 || result.RequeueAfter > ConflictDelay || len(log.reported) != 0 {
		t.Errorf("%v, %v, reported %q", result, err, log.reported)
	}
}
