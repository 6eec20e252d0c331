package executor

import (
	"context"
	"errors"

	"github.com/mooring-dev/mooring/api/errorcode"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// maxMessageBytes bounds an error message.
const maxMessageBytes = 1024

func (x *Executor) notStartedOutcome(result journal.Result, code, message string) *journal.Outcome {
	return &journal.Outcome{
		Result: result, Execution: journal.NotStarted, FinishedTime: x.Now(),
		ErrorCode: code, ErrorMessage: truncateMessage(message),
	}
}

func (x *Executor) expiredOutcome() *journal.Outcome {
	return x.notStartedOutcome(journal.TimedOut, errorcode.Expired, "it expired before it started")
}

func (x *Executor) cancelledOutcome() *journal.Outcome {
	return x.notStartedOutcome(journal.Cancelled, errorcode.Cancelled, "it was cancelled")
}

// interruptedOutcome returns the outcome of a run whose context ended, by the cause of that end.
// The execution is NotStarted; the caller corrects it for a run that started.
func (x *Executor) interruptedOutcome(ctx context.Context) *journal.Outcome {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errTimeout):
		return x.notStartedOutcome(journal.TimedOut, errorcode.Timeout, cause.Error())
	case errors.Is(cause, errCancelled):
		return x.cancelledOutcome()
	default:
		return x.notStartedOutcome(journal.Failed, errorcode.AgentRestarted, "the agent was stopped")
	}
}

// restartOutcome returns the outcome of a dispatch that an earlier process left unfinished. A
// person's denial stays a denial; a run that a person allowed does not start late.
func (x *Executor) restartOutcome(entry journal.Entry) *journal.Outcome {
	outcome := x.notStartedOutcome(journal.Failed, errorcode.AgentRestarted, "the agent restarted before it ran")
	switch m := entry.Mediation; {
	case entry.State == journal.Running:
		outcome.Execution = journal.Unknown
		outcome.ErrorMessage = "the agent restarted in the middle of the run; it is not known how far it came"
	case m == nil:
	case m.Answer == journal.Denied:
		return x.notStartedOutcome(journal.Rejected, errorcode.MediationDenied, "the person at the machine denied the run")
	case m.Answer == journal.Unanswered:
		return x.notStartedOutcome(journal.Rejected, errorcode.MediationTimedOut, "no person at the machine answered in time")
	case m.Answer == journal.Allowed:
		outcome.ErrorMessage = "the agent restarted after the person at the machine said yes and before it ran"
	default:
		outcome.ErrorMessage = "the agent restarted while a person at the machine was asked; it did not run"
	}
	return outcome
}

func truncateMessage(text string) string { return foreign.Truncate(text, maxMessageBytes) }
