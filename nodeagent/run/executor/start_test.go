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

// acceptHookSink is a sink that calls onAccepted before it handles an acceptance.
type acceptHookSink struct {
	*sink
	onAccepted func(journal.Ref)
}

func (w acceptHookSink) Accepted(d journal.Ref) {
	w.onAccepted(d)
	w.sink.Accepted(d)
}

func TestWhatHasNothingToWaitForIsJournaledAsStartedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		b := newTestExecutor(t, 1, stubbornCapability("free", time.Second), mediatedCapability(&runs))
		attachPerson(b)
		states := map[string]journal.State{}
		b.Attach(acceptHookSink{b.sink, func(d journal.Ref) {
			entry, _, err := b.Journal.Lookup(d.UID)
			if err != nil || entry.State == journal.Running && !entry.StartedTime.Equal(time.Now()) {
				t.Errorf("%s: %+v, %v", d.UID, entry, err)
			}
			states[d.UID] = entry.State
		}})
		b.Offer(b.offer("asks", "c"))
		b.Offer(b.offer("first", "free"))
		b.Offer(b.offer("second", "free"))
		for uid, want := range map[string]journal.State{"asks": journal.Accepted, "first": journal.Running, "second": journal.Accepted} {
			if states[uid] != want {
				t.Errorf("%s was %s when its acceptance was reported, want %s", uid, states[uid], want)
			}
		}
		b.Cancel(journal.Ref{UID: "asks"})
		b.runs.Wait()
		if o := b.sink.lastFinished(t, "second").Outcome; o.Result != journal.Succeeded || runs != 0 {
			t.Errorf("second: %s; %d runs of the cancelled dispatch", o.Result, runs)
		}
	})
}

func TestWhatASlowSessionHeldUpStartsOnlyIfItStillMay(t *testing.T) {
	for name, c := range map[string]struct {
		during func(*testExecutor)
		result journal.Result
	}{
		"it expired":      {func(*testExecutor) { time.Sleep(2 * time.Hour) }, journal.TimedOut},
		"it is cancelled": {func(b *testExecutor) { b.Cancel(journal.Ref{UID: "u"}) }, journal.Cancelled},
		"the agent stops": {func(b *testExecutor) { go b.Stop(context.Background()); synctest.Wait() }, journal.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				b := newTestExecutor(t, 1, capabilityFunc{name: "c", run: mediatedCapability(&runs).run})
				b.Attach(acceptHookSink{b.sink, func(journal.Ref) { c.during(b) }})
				b.Offer(b.offer("u", "c"))
				b.runs.Wait()
				synctest.Wait()
				if o := b.sink.lastFinished(t, "u").Outcome; runs != 0 || o.Result != c.result || o.Execution != journal.NotStarted {
					t.Errorf("ran %d times, %s/%s, want %s/NotStarted", runs, o.Result, o.Execution, c.result)
				}
				if len(b.slots) != 0 {
					t.Error("it keeps its slot")
				}
			})
		})
	}
}

func TestARefusalOfTheJournalKeepsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reopen(t, t.TempDir()+"/journal.db", 1, journal.Limits{Unsettled: 1}, capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
			return json.RawMessage("1"), nil
		}})
		b.Offer(b.offer("u", "c"))
		b.runs.Wait()
		b.Offer(b.offer("v", "c"))
		synctest.Wait()
		if o := b.sink.lastFinished(t, "v").Outcome; o.ErrorCode != "JournalFull" || len(b.slots) != 0 {
			t.Errorf("v: %s, %d slots in use", o.ErrorCode, len(b.slots))
		}
	})
}

func TestWhatCannotBeJournaledAsStartedDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		b := newTestExecutor(t, 1, stubbornCapability("slow", time.Second), capabilityFunc{name: "c", run: mediatedCapability(&runs).run})
		b.Attach(b.sink)
		b.Offer(b.offer("first", "slow"))
		b.Offer(b.offer("waits", "c"))
		if err := b.Journal.Finish("waits", journal.Outcome{Result: journal.Failed, Execution: journal.Unknown}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second) // the slot is free by now
		synctest.Wait()
		if runs != 0 || len(b.slots) != 0 {
			t.Errorf("%d runs of a dispatch that the journal refused to start, %d slots in use", runs, len(b.slots))
		}
		b.Stop(t.Context())
	})
}
