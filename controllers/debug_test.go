package controllers

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

func TestADecisionToWaitIsLoggedAtDebugOnly(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		decide func(context.Context) (ctrl.Result, error)
		reason string
	}{
		"a person decides": {func(ctx context.Context) (ctrl.Result, error) {
			r := &pairingRequestReconciler{clock: clocktesting.NewFakePassiveClock(now)}
			return r.awaitDecision(ctx, &v1alpha1.PairingRequest{Spec: v1alpha1.PairingRequestSpec{
				Method: v1alpha1.PairingMethodPIN, ExpiresTime: metav1.NewTime(now.Add(time.Minute))}})
		}, "a person decides about the request"},
		"a budget is awaited": {func(ctx context.Context) (ctrl.Result, error) {
			waits := reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) { return ctrl.Result{}, postpone(time.Minute) })
			return newBackOff(waits, nil).Reconcile(ctx, ctrl.Request{})
		}, "a write budget or a proof is awaited"},
	} {
		t.Run(name, func(t *testing.T) {
			for level, logged := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
				lines := &bytes.Buffer{}
				log := logr.FromSlogHandler(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: level}))
				if result, err := tt.decide(ctrl.LoggerInto(t.Context(), log)); err != nil || result.RequeueAfter != time.Minute {
					t.Fatalf("%v, %v", result, err)
				}
				if got := strings.Contains(lines.String(), tt.reason) && strings.Contains(lines.String(), "requeueAfter=1m0s"); got != logged {
					t.Errorf("at %s the reason is logged: %t, want %t:\n%s", level, got, logged, lines)
				}
			}
		})
	}
}

func TestTheReasonWhyADispatchIsNotSettledIsTheProofThatIsMissing(t *testing.T) {
	ended := metav1.NewTime(time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC))
	over := dispatch.Facts{SessionStarted: &ended, SessionEnded: &ended}
	for want, tt := range map[string]struct {
		phase v1alpha1.DispatchPhase
		facts dispatch.Facts
	}{
		"with the session": {v1alpha1.DispatchQueued, dispatch.Facts{SessionLive: true}},
		"has not started":  {v1alpha1.DispatchQueued, over},
		"may have started": {v1alpha1.DispatchDispatched, over},
	} {
		d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(ended.Add(time.Hour))},
			Status: v1alpha1.CapabilityDispatchStatus{Phase: tt.phase}}
		if got := dispatchWaitReason(d, tt.facts); !strings.Contains(got, want) {
			t.Errorf("phase %s, facts %+v: %q, want %q", tt.phase, tt.facts, got, want)
		}
	}
}
