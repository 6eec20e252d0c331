package policy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
)

func TestEachProbeIsLoggedAtDebugOnly(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: `msg="probe passed" logger=policy probe=one|msg="probe failed" logger=policy probe=two reason="disproved: it was admitted"`,
		slog.LevelInfo:  "",
	} {
		lines := &bytes.Buffer{}
		ctx := logf.IntoContext(t.Context(), logr.FromSlogHandler(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: level})))
		debugProbe(ctx, "one", nil)
		debugProbe(ctx, "two", disprovedError("it was admitted"))
		for part := range strings.SplitSeq(want, "|") {
			if !strings.Contains(lines.String(), part) {
				t.Errorf("at %s the log lacks %s:\n%s", level, part, lines)
			}
		}
		if want == "" && lines.Len() != 0 {
			t.Errorf("lines at %s:\n%s", level, lines)
		}
	}
}
