package debuglog_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
)

func TestALineNamesTheDispatchAndItsPairs(t *testing.T) {
	lines := &bytes.Buffer{}
	log := slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	debuglog.Dispatch(log, "offer refused", "u", "code", "Expired")
	if want := `level=DEBUG msg="offer refused" dispatch=u code=Expired`; !strings.Contains(lines.String(), want) {
		t.Errorf("the log is %s, want %s", lines, want)
	}
}

// Every dispatch passes these calls, and debug lines are rarely enabled.
func TestADebugLineCostsNothingWhileItIsDisabled(t *testing.T) {
	lines := &bytes.Buffer{}
	log := slog.New(slog.NewTextHandler(lines, nil))
	uid := strings.Repeat("u", 36)
	if allocated := testing.AllocsPerRun(100, func() {
		debuglog.Dispatch(log, "offer refused", uid, "code", uid[:4], "name", uid)
	}); allocated != 0 || lines.Len() != 0 {
		t.Errorf("%v allocations of a disabled debug line, %q is logged: want none", allocated, lines)
	}
}
