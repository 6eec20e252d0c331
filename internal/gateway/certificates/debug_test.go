package certificates

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
)

func TestTheAnswerToARequestIsLoggedAtDebugOnly(t *testing.T) {
	for level, want := range map[slog.Level][]string{
		slog.LevelDebug: {`"msg":"certificate handed on"`, `"msg":"no certificate handed on"`, ErrPending.Error()},
		slog.LevelInfo:  nil,
	} {
		lines := &bytes.Buffer{}
		r := New(Options{Log: logr.FromSlogHandler(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: level}))})
		key := types.NamespacedName{Namespace: "fleet", Name: "box"}
		r.debugAnswer(key, "sum", nil)
		r.debugAnswer(key, "sum", ErrPending)
		for _, part := range want {
			if !strings.Contains(lines.String(), part) {
				t.Errorf("at %s the log lacks %s:\n%s", level, part, lines)
			}
		}
		if want == nil && lines.Len() != 0 {
			t.Errorf("lines at %s:\n%s", level, lines)
		}
	}
}
