package controllers

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// reportLog is a failureReporter that counts.
type reportLog struct{ reported, resolved []string }

func (l *reportLog) report(_ context.Context, _ client.ObjectKey, failed error) error {
	l.reported = append(l.reported, failed.Error())
	return nil
}

func (l *reportLog) resolve(_ context.Context, key client.ObjectKey) error {
	l.resolved = append(l.resolved, key.Name)
	return nil
}

var (
	errQuota    = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "code", errors.New("exceeded quota"))
	errChanged  = apierrors.NewConflict(schema.GroupResource{Resource: "nodes"}, "box", errors.New("the object has been modified"))
	errTimeout  = apierrors.NewServerTimeout(schema.GroupResource{Resource: "nodes"}, "get", 1)
	failingCode = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "fleet", Name: "code"}}
)

// A flood of events, as that of a write which a failed reconcile made itself, must not shorten the
// delay.
func TestEventsDoNotBypassTheBackOff(t *testing.T) {
	tests := map[string]struct {
		err  error
		most int
	}{
		"a refusal":          {errQuota, 9},
		"a lasting conflict": {errChanged, 12},
		"a timeout":          {errTimeout, 9},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			runs, now, log := 0, start, &reportLog{}
			b := newBackOff(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
				runs++
				return ctrl.Result{}, test.err
			}), log)
			b.now = func() time.Time { return now }
			for now.Before(start.Add(time.Minute)) {
				result, err := b.Reconcile(t.Context(), failingCode)
				if err == nil && result.RequeueAfter <= 0 {
					t.Fatal("an object that failed is forgotten")
				}
				if wait := b.When(failingCode); wait <= 0 || wait > maxFailureDelay {
					t.Fatalf("the next try is in %s", wait)
				}
				b.Forget(failingCode) // as the queue does after each early return
				now = now.Add(10 * time.Millisecond)
			}
			if runs < 5 || runs > test.most {
				t.Errorf("%d reconciles in a minute, want at most %d", runs, test.most)
			}
			if len(log.reported) != 1 || len(log.resolved) != 0 {
				t.Errorf("reported %q, resolved %q", log.reported, log.resolved)
			}
		})
	}
}

func TestASuccessEndsTheBackOff(t *testing.T) {
	now, log := start, &reportLog{}
	var failed error = errQuota
	b := newBackOff(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
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
	now = now.Add(failureDelay)
	result, err := b.Reconcile(t.Context(), failingCode)
	if err != nil || result.RequeueAfter != time.Hour || len(log.resolved) != 1 || len(b.failures) != 0 {
		t.Errorf("%v, %v, resolved %q, failures %v", result, err, log.resolved, b.failures)
	}
}

func TestOneConflictIsNoFault(t *testing.T) {
	log := &reportLog{}
	b := newBackOff(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) { return ctrl.Result{}, errChanged }), log)
	result, err := b.Reconcile(t.Context(), failingCode)
	if err != nil || result.RequeueAfter <= 0 || result.RequeueAfter > conflictDelay || len(log.reported) != 0 {
		t.Errorf("%v, %v, reported %q", result, err, log.reported)
	}
}

func TestStalledMessagesNameEachController(t *testing.T) {
	messages, key := &stalledMessages{}, client.ObjectKey{Namespace: "fleet", Name: "box"}
	messages.set(key, "node", "no finalizer")
	if got := messages.set(key, "certificate", "no order"); got != "certificate controller: no order; node controller: no finalizer" {
		t.Errorf("text is %q", got)
	}
	messages.set(key, "node", "")
	if got := messages.set(key, "certificate", ""); got != "" || len(messages.messages) != 0 {
		t.Errorf("text is %q, messages %v", got, messages.messages)
	}
}
