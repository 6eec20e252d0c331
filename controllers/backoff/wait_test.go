package backoff

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/controllers/step"
)

func TestADecisionToWaitIsLoggedAtDebugOnly(t *testing.T) {
	waits := reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
		return ctrl.Result{}, &step.PostponedError{After: time.Minute}
	})
	for level, logged := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		lines := &bytes.Buffer{}
		log := logr.FromSlogHandler(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: level}))
		result, err := New(waits, nil).Reconcile(ctrl.LoggerInto(t.Context(), log), ctrl.Request{})
		if err != nil || result.RequeueAfter != time.Minute {
			t.Fatalf("%v, %v", result, err)
		}
		if got := strings.Contains(lines.String(), "a write budget or a proof is awaited") && strings.Contains(lines.String(), "requeueAfter=1m0s"); got != logged {
			t.Errorf("at %s the reason is logged: %t, want %t:\n%s", level, got, logged, lines)
		}
	}
}
