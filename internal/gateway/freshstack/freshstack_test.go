package freshstack

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDoReturnsAfterWhatItRuns(t *testing.T) {
	ran := false
	Do(func() { ran = true })
	if !ran {
		t.Error("Do returned before its function")
	}
}

func explode() { panic("boom") }

func TestAPanicReachesTheCallerWithItsStack(t *testing.T) {
	defer func() {
		recovered, _ := recover().(string)
		if !strings.HasPrefix(recovered, "boom\n") || !strings.Contains(recovered, "freshstack.explode") {
			t.Errorf("recovered %q, want the cause and the stack of its goroutine", recovered)
		}
	}()
	Do(explode)
	t.Error("Do returned after a panic")
}
