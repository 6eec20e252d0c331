package dispatch

import (
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign/corpus"
)

func TestConditionsOfADispatchAreOneSafeLine(t *testing.T) {
	for name, text := range corpus.Texts {
		text = corpus.ToValid(text)
		now := time.Now()
		withdrawn := Withdraw(v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, v1alpha1.ErrorNotGranted, text, "gateway", now)
		failed, _ := Settle(v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, Result{Outcome: v1alpha1.DispatchFailed,
			Execution: v1alpha1.ExecutionFinished, ErrorCode: text, ErrorMessage: text}, "gateway", now)
		offered := v1alpha1.CapabilityDispatchStatus{}
		setDelivered(&offered, now)
		for _, status := range []v1alpha1.CapabilityDispatchStatus{withdrawn, failed, offered} {
			if len(status.Conditions) == 0 {
				t.Errorf("%s: no condition was set", name)
			}
			for _, condition := range status.Conditions {
				if problem := corpus.FindProblem(condition.Message); problem != "" || strings.ContainsAny(condition.Message, "\n\t") || len([]rune(condition.Message)) > maxErrorChars {
					t.Errorf("%s, %s: %s in %.300q", name, condition.Type, problem, condition.Message)
				}
			}
		}
		progressed := MarkProgress(v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchDispatched}, 5, text, "gateway", now)
		if problem := corpus.FindProblem(progressed.Progress.Message); problem != "" {
			t.Errorf("%s, progress: %s", name, problem)
		}
		if problem := corpus.FindProblem(strings.ReplaceAll(failed.Error.Message, "\n", " ")); problem != "" {
			t.Errorf("%s, error: %s", name, problem)
		}
	}
}
