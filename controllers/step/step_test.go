package step

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/controllers/status"
)

func TestTheFirstStepThatEndsIsTheLast(t *testing.T) {
	failed := errors.New("failed")
	for name, test := range map[string]struct {
		second Outcome
		runs   int
		after  time.Duration
		err    error
	}{
		"it continues": {Continue(), 3, 0, nil},
		"it is done":   {Done(), 2, 0, nil},
		"it waits":     {Wait(time.Minute, "a person decides"), 2, time.Minute, nil},
		"it refuses":   {Refuse(status.NewReason("Denied", "no")), 2, 0, nil},
		"it fails":     {Fail(failed), 2, 0, failed},
	} {
		t.Run(name, func(t *testing.T) {
			count := func(outcome Outcome) Step[int] {
				return func(_ context.Context, runs *int) Outcome { *runs++; return outcome }
			}
			runs := 0
			outcome := Run(t.Context(), &runs, count(Continue()), count(test.second), count(Continue()))
			result, err := outcome.Result(t.Context())
			if runs != test.runs || result.RequeueAfter != test.after || !errors.Is(err, test.err) || outcome.Continues() != test.second.Continues() {
				t.Errorf("%d steps ran, %v, %v, want %d, %s, %v", runs, result, err, test.runs, test.after, test.err)
			}
			if refused := outcome.Refusal() != nil; refused != (name == "it refuses") {
				t.Errorf("refused: %v", refused)
			}
		})
	}
}

func TestAWaitIsLoggedAtDebugOnly(t *testing.T) {
	for level, logged := range map[slog.Level]bool{slog.LevelDebug: true, slog.LevelInfo: false} {
		lines := &bytes.Buffer{}
		log := logr.FromSlogHandler(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: level}))
		if _, err := Wait(time.Minute, "a person decides").Result(ctrl.LoggerInto(t.Context(), log)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(lines.String(), "a person decides") && strings.Contains(lines.String(), "requeueAfter=1m0s"); got != logged {
			t.Errorf("at %s the reason is logged: %t, want %t:\n%s", level, got, logged, lines)
		}
	}
}
