// Package debuglog writes the debug lines about dispatches. A line is one step or one decision, so
// that a person can follow a dispatch through the log of the agent.
package debuglog

import (
	"context"
	"log/slog"
)

// Dispatch writes a debug line about the dispatch uid. pairs are keys and values. They must contain
// no input and no output. The call allocates nothing while debug lines are disabled, because pairs
// holds strings and stays on the stack of the caller.
func Dispatch(log *slog.Logger, message, uid string, pairs ...string) {
	ctx := context.Background()
	if !log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := make([]slog.Attr, 0, 1+len(pairs)/2)
	attrs = append(attrs, slog.String("dispatch", uid))
	for i := 0; i+1 < len(pairs); i += 2 {
		attrs = append(attrs, slog.String(pairs[i], pairs[i+1]))
	}
	log.LogAttrs(ctx, slog.LevelDebug, message, attrs...)
}
