package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

// attachPerson sets the policy of b to an approval queue whose user is ann.
func attachPerson(b *testExecutor) *mediation.ApprovalQueue {
	queue := &mediation.ApprovalQueue{
		Rules: func() (*mediation.Rules, error) {
			return mediation.LoadRules(filepath.Join(filepath.Dir(b.path), "none.yaml"))
		},
		User: "ann", Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	b.Policy = queue
	return queue
}

// mediatedCapability returns a capability that needs a person and counts its runs.
func mediatedCapability(runs *int) capabilityFunc {
	return capabilityFunc{name: "c", mediation: capability.MediationLocal, run: func(context.Context, capability.Request) (json.RawMessage, error) {
		*runs++
		return json.RawMessage("1"), nil
	}}
}

func TestAPersonDecidesAndItIsToldInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		during func(*testing.T, *testExecutor, *mediation.ApprovalQueue)
		runs   int
		steps  string
		result journal.Result
		code   string
	}{
		"yes": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) { answerQuestion(t, d, true) }, 1, "u asked ann,u allowed", journal.Succeeded, ""},
		"no":  {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) { answerQuestion(t, d, false) }, 0, "u asked ann", journal.Rejected, "MediationDenied"},
		"nobody": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) { time.Sleep(6 * time.Minute) }, 0, "u asked ann", journal.Rejected,
			"MediationTimedOut"},
		"cancelled meanwhile": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) { b.Cancel(journal.Ref{UID: "u"}) }, 0, "u asked ann", journal.Cancelled, "Cancelled"},
		"deleted meanwhile":   {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) { b.Settled(journal.Ref{UID: "u"}) }, 0, "u asked ann", journal.Cancelled, "Cancelled"},
		"the offer comes again": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.Offer(b.offer("u", "c"))
			answerQuestion(t, d, true)
			b.Offer(b.offer("u", "c"))
		}, 1, "u asked ann,u asked ann,u allowed", journal.Succeeded, ""},
		"it expires first": {func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			expiring := b.offer("v", "c")
			expiring.Expires = time.Now().Add(time.Minute)
			b.Offer(expiring)
			synctest.Wait()
			answerQuestion(t, d, true)
			time.Sleep(2 * time.Minute)
			if o := b.sink.lastFinished(t, "v").Outcome; o.Result != journal.TimedOut || o.Execution != journal.NotStarted || o.ErrorCode != "Expired" {
				t.Errorf("v: %s/%s/%s", o.Result, o.Execution, o.ErrorCode)
			}
		}, 1, "u asked ann,v asked ann,u allowed", journal.Succeeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				b := newTestExecutor(t, 1, mediatedCapability(&runs))
				queue := attachPerson(b)
				b.Offer(b.offer("u", "c"))
				synctest.Wait()
				c.during(t, b, queue)
				b.runs.Wait()
				o := b.sink.lastFinished(t, "u").Outcome
				if runs != c.runs || o.Result != c.result || o.ErrorCode != c.code || (c.runs == 0 && o.Execution != journal.NotStarted) {
					t.Errorf("ran %d times, %s/%s/%s", runs, o.Result, o.Execution, o.ErrorCode)
				}
				if got := strings.Join(b.sink.steps, ","); got != c.steps {
					t.Errorf("reported %s, want %s", got, c.steps)
				}
				if open, _ := queue.Questions(); len(open) != 0 {
					t.Errorf("%d questions stay open", len(open))
				}
			})
		})
	}
}

func answerQuestion(t *testing.T, queue *mediation.ApprovalQueue, allowed bool) {
	t.Helper()
	if _, err := queue.Answer("u", allowed, "ann"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func TestWhileAPersonThinksOthersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		b := newTestExecutor(t, 1, mediatedCapability(&runs), stubbornCapability("free", time.Second))
		queue := attachPerson(b)
		b.Offer(b.offer("u", "c"))
		b.Offer(b.offer("w", "free"))
		time.Sleep(2 * time.Second)
		if o := b.sink.lastFinished(t, "w").Outcome; o.Result != journal.Succeeded {
			t.Errorf("w: %s", o.Result)
		}
		answerQuestion(t, queue, false)
		b.runs.Wait()
	})
}

// TestARestartKeepsAnAnswer simulates a stop of the process in the journal, after each answer and
// before an answer. In the last case an older agent did not store the input that is needed to ask
// again.
func TestARestartKeepsAnAnswer(t *testing.T) {
	for given, want := range map[journal.Answer][2]string{
		"": {"Failed", "AgentRestarted"}, journal.Allowed: {"Failed", "AgentRestarted"},
		journal.Denied: {"Rejected", "MediationDenied"}, journal.Unanswered: {"Rejected", "MediationTimedOut"},
	} {
		runs := 0
		first := newTestExecutor(t, 1, mediatedCapability(&runs))
		entry := newEntry(first.offer("u", "c"))
		err := errors.Join(first.Journal.Accept(entry), first.Journal.StoreQuestion("u", journal.Mediation{AskedUser: "ann"}))
		if given != "" {
			err = errors.Join(err, first.Journal.StoreAnswer("u", given, "ann", time.Now()))
		}
		if err := errors.Join(err, first.Journal.Close()); err != nil {
			t.Fatal(err)
		}
		b := reopen(t, first.path, 1, journal.Limits{}, mediatedCapability(&runs))
		queue := attachPerson(b)
		b.Offer(b.offer("u", "c"))
		o := b.sink.lastFinished(t, "u").Outcome
		if string(o.Result) != want[0] || o.ErrorCode != want[1] || o.Execution != journal.NotStarted {
			t.Errorf("%q: %s/%s/%s (%s)", given, o.Result, o.Execution, o.ErrorCode, o.ErrorMessage)
		}
		if open, _ := queue.Questions(); len(open) != 0 || runs != 0 {
			t.Errorf("%q: %d questions, %d runs after the restart", given, len(open), runs)
		}
	}
}

func TestProgressIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late func(int, string)
		b := newTestExecutor(t, 1, capabilityFunc{name: "c", run: func(_ context.Context, r capability.Request) (json.RawMessage, error) {
			late = r.Progress
			for i := range 20 {
				r.Progress(i, strings.Repeat("é", 200))
				time.Sleep(130 * time.Millisecond) // never at a full second
			}
			r.Progress(500, "done")
			return json.RawMessage("1"), nil
		}})
		b.Offer(b.offer("u", "c"))
		b.runs.Wait()
		late(7, "after the end")
		time.Sleep(time.Minute)
		var percents []string
		for _, step := range b.sink.steps {
			fields := strings.Fields(step)
			percents = append(percents, fields[1])
			if len(fields[2]) > 256 {
				t.Errorf("a message has %d bytes", len(fields[2]))
			}
		}
		if got := fmt.Sprint(percents); got != "[0 7 15]" {
			t.Errorf("reported %s: want one a second, the newest", got)
		}
	})
}
