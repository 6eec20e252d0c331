// Package logtest reads the log that a test's subject writes.
package logtest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-logr/logr"
)

// New returns a logger of this level, as the manager makes it, and its lines.
func New(level slog.Level) (logr.Logger, *bytes.Buffer) {
	lines := &bytes.Buffer{}
	return logr.FromSlogHandler(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: level})), lines
}

// Messages returns the messages of the lines of a log.
func Messages(t testing.TB, lines *bytes.Buffer) []string {
	t.Helper()
	var messages []string
	for line := range strings.Lines(lines.String()) {
		var entry struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, entry.Msg)
	}
	return messages
}
