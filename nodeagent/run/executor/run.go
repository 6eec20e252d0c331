package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
	"unicode/utf8"

	"github.com/mooring-dev/mooring/api/errorcode"
	"github.com/mooring-dev/mooring/internal/jsontext"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

// runDispatch brings an accepted dispatch to its outcome and sends the outcome.
func (x *Executor) runDispatch(r *run, c *capability.Entry) {
	defer x.unregisterRun(r)
	outcome := x.prepareStart(r, c)
	if outcome == questionOpen {
		return // the next process asks again
	}
	if outcome == nil {
		outcome = x.callCapability(r, c)
	}
	if !x.journalOutcome(r, *outcome) {
		return
	}
	entry, known, err := x.Journal.Lookup(r.Dispatch.UID)
	if err != nil || !known {
		x.Log.Error("journal cannot be read; the result will be sent in the next session", "dispatch", r.Dispatch.UID, "error", err)
		return
	}
	x.Log.Info("dispatch finished", "dispatch", r.Dispatch.UID, "capability", r.Capability,
		"result", outcome.Result, "execution", outcome.Execution, "code", outcome.ErrorCode)
	x.notifySink(func(s Sink) { s.Finished(entry) })
}

// callResult is the result of a capability.
type callResult struct {
	output json.RawMessage
	err    error
}

// callCapability runs the capability under its deadline, and the capability then owns the slot. A
// capability that does not return in time is abandoned: it keeps its slot, and is reported as
// started and not ended.
func (x *Executor) callCapability(r *run, c *capability.Entry) *journal.Outcome {
	timeout, limitSource := r.Timeout, "timeoutSeconds of the dispatch"
	if limited, ok := c.Capability.(capability.TimeLimited); ok && limited.Limit() < timeout {
		timeout, limitSource = limited.Limit(), "the limit of the capability on this machine"
	}
	ctx, cancel := context.WithTimeoutCause(r.ctx, timeout, fmt.Errorf("%w of %s (%s)", errTimeout, timeout, limitSource))
	defer cancel()
	progress := &progressCoalescer{emit: func(percent int, message string) {
		x.notifySink(func(s Sink) { s.Progress(r.Dispatch, percent, message) })
	}}
	defer progress.stop()
	request := capability.Request{
		DispatchUID: r.Dispatch.UID, RunID: x.Journal.RunPrefix() + r.Dispatch.UID, Input: r.Input, Target: r.target, Warning: r.warning, RequestedBy: r.RequestedBy,
		MaxOutputBytes: r.MaxOutputBytes, Progress: progress.report,
	}
	debuglog.Dispatch(x.Log, "dispatch started", r.Dispatch.UID, "capability", r.Capability)
	resultCh := make(chan callResult, 1)
	x.calls.Add(1)
	go func() {
		defer x.calls.Done()
		defer func() { <-x.slots }()
		resultCh <- x.callRecovering(ctx, c, request)
	}()
	select {
	case got := <-resultCh:
		return x.outcomeFromResult(ctx, r, got)
	case <-ctx.Done():
	}
	grace := time.NewTimer(x.Grace)
	defer grace.Stop()
	select {
	case got := <-resultCh:
		return x.outcomeFromResult(ctx, r, got)
	case <-grace.C:
		x.Log.Warn("capability did not return after its context ended", "dispatch", r.Dispatch.UID, "capability", r.Capability)
		outcome := x.interruptedOutcome(ctx)
		outcome.Execution = journal.Started
		if errors.Is(context.Cause(ctx), errStopping) {
			outcome.Execution = journal.Unknown // it ends with this process, so its progress stays unknown
		}
		return outcome
	}
}

// callRecovering turns a panic into an error: one capability must not crash the agent.
func (x *Executor) callRecovering(ctx context.Context, c *capability.Entry, request capability.Request) (got callResult) {
	defer func() {
		if p := recover(); p != nil {
			x.Log.Error("capability panicked", "capability", c.Name(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			got = callResult{err: errors.New("the capability panicked; the agent's log has the details")}
		}
	}()
	output, err := c.Run(ctx, request)
	return callResult{output, err}
}

// outcomeFromResult returns the outcome of a capability that returned.
func (x *Executor) outcomeFromResult(ctx context.Context, r *run, got callResult) *journal.Outcome {
	outcome := &journal.Outcome{Result: journal.Succeeded, Execution: journal.Ended, FinishedTime: x.Now()}
	var capabilityErr *capability.Error
	switch {
	case got.err == nil && !utf8.Valid(got.output):
		outcome.Result, outcome.ErrorCode, outcome.ErrorMessage = journal.Failed, errorcode.InvalidOutput, "the capability returned something that is not UTF-8"
	case got.err == nil && !json.Valid(got.output):
		outcome.Result, outcome.ErrorCode, outcome.ErrorMessage = journal.Failed, errorcode.InvalidOutput, "the capability returned something that is not JSON"
	case got.err == nil && len(got.output) <= r.MaxOutputBytes && jsontext.FindRounded(got.output) != "":
		outcome.Result, outcome.ErrorCode = journal.Failed, errorcode.InvalidOutput
		outcome.ErrorMessage = truncateMessage("the cluster would round a number of the output, so print it as a string: " + jsontext.FindRounded(got.output))
	case got.err == nil:
		outcome.Output, outcome.OutputTruncated = capability.TruncateOutput(got.output, r.MaxOutputBytes)
	case ctx.Err() != nil:
		outcome = x.interruptedOutcome(ctx)
		outcome.Execution = journal.Ended
	case errors.As(got.err, &capabilityErr):
		outcome.Result, outcome.ErrorCode, outcome.ErrorMessage = journal.Failed, capabilityErr.Code, truncateMessage(capabilityErr.Message)
	default:
		outcome.Result, outcome.ErrorCode, outcome.ErrorMessage = journal.Failed, errorcode.CapabilityFailed, truncateMessage(got.err.Error())
	}
	return outcome
}

// outputAttempts is the number of attempts to journal an outcome with its output while the disk
// fails.
const outputAttempts = 3

// journalOutcome journals the outcome, and retries for as long as the disk fails. It returns false
// when the agent stopped first; the next start then reports the run as interrupted.
func (x *Executor) journalOutcome(r *run, outcome journal.Outcome) bool {
	retry := backoff.New(time.Second, time.Minute)
	for attempt := 1; ; attempt++ {
		err := x.Journal.Finish(r.Dispatch.UID, outcome)
		if err == nil {
			return true
		}
		x.declareImpaired(err)
		if attempt == outputAttempts && len(outcome.Output) > 0 {
			outcome.Output, outcome.OutputTruncated = nil, true // the outcome without its output is worth more than none
		}
		x.Log.Error("outcome cannot be journaled; trying again", "dispatch", r.Dispatch.UID, "error", err)
		timer := time.NewTimer(retry.Next())
		select {
		case <-timer.C:
		case <-x.stopping:
			timer.Stop()
			return false
		}
	}
}
