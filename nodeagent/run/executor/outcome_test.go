package executor

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// finishHookSink is a sink that calls onFinished before it handles an outcome.
type finishHookSink struct {
	*sink
	onFinished func(journal.Entry)
}

func (w finishHookSink) Finished(e journal.Entry) {
	w.onFinished(e)
	w.sink.Finished(e)
}

// TestAnOutcomeIsJournaledBeforeItIsReported reads the journal at the moment of each report. The
// gateway settles what it receives, so the agent must not lose the outcome in a crash after that.
func TestAnOutcomeIsJournaledBeforeItIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestExecutor(t, 2, returningCapability(`"done"`), blockingCapability("waits"))
		b.Attach(finishHookSink{b.sink, func(reported journal.Entry) {
			stored, known, err := b.Journal.Lookup(reported.Dispatch.UID)
			if err != nil || !known || stored.State != journal.Finished || stored.Outcome == nil || stored.Outcome.Result != reported.Outcome.Result {
				t.Errorf("%s is reported as %s, the journal holds %+v, %v", reported.Dispatch.UID, reported.Outcome.Result, stored, err)
			}
		}})
		b.Offer(b.offer("returns", "c"))
		b.Offer(b.offer("cancelled", "waits"))
		b.Offer(b.offer("rejected", "unknown"))
		synctest.Wait()
		b.Cancel(journal.Ref{Namespace: "fleet", Name: "cancelled", UID: "cancelled"})
		b.runs.Wait()
		for uid, want := range map[string]journal.Result{"returns": journal.Succeeded, "cancelled": journal.Cancelled, "rejected": journal.Rejected} {
			if o := b.sink.lastFinished(t, uid).Outcome; o.Result != want {
				t.Errorf("%s: got %s, want %s", uid, o.Result, want)
			}
		}
	})
}

// TestAnOutcomeThatCannotBeJournaledIsNotReported uses a journal that refuses the outcome, because
// it holds another one already.
func TestAnOutcomeThatCannotBeJournaledIsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *testExecutor
		b = newTestExecutor(t, 1, capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
			return json.RawMessage(`"done"`), b.Journal.Finish("u", journal.Outcome{Result: journal.Failed, Execution: journal.Unknown})
		}})
		b.Offer(b.offer("u", "c"))
		time.Sleep(time.Hour) // the executor tries again at least once a minute
		b.sink.mu.Lock()
		reported := len(b.sink.finished["u"])
		b.sink.mu.Unlock()
		if reported != 0 {
			t.Errorf("the outcome was reported %d times", reported)
		}
		b.Stop(t.Context())
	})
}
