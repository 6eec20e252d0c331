package executor

import (
	"context"
	"errors"
	"strings"

	"github.com/mooring-dev/mooring/nodeagent/journal"
)

// maxMessageBytes bounds an error message.
const maxMessageBytes = 1024

func (x *Executor) unstarted(result journal.Result, code, message string) *journal.Outcome {
	return &journal.Outcome{
		Result: result, Execution: journal.NotStarted, FinishedTime: x.Now(),
		ErrorCode: code, ErrorMessage: clip(message),
	}
}

func (x *Executor) expired() *journal.Outcome {
	return x.unstarted(journal.TimedOut, codeExpired, "it expired before it started")
}

func (x *Executor) cancelled() *journal.Outcome {
	return x.unstarted(journal.Cancelled, codeCancelled, "it was cancelled")
}

// interrupted is the outcome of a run that was told to stop, by the reason it was
// told; as if it had not started, which the caller corrects if it has.
func (x *Executor) interrupted(ctx context.Context) *journal.Outcome {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return x.unstarted(journal.TimedOut, codeTimeout, "it did not finish within its run time")
	case errors.Is(cause, errCancelled):
		return x.cancelled()
	default:
		return x.unstarted(journal.Failed, codeAgentRestarted, "the agent was stopped")
	}
}

func clip(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) > maxMessageBytes {
		text = strings.ToValidUTF8(text[:maxMessageBytes], "")
	}
	return text
}
