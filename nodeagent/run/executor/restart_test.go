package executor

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

// newRestartedExecutor returns an executor on a journal whose last process was killed. That process
// asked a person about u two minutes ago; the executor has no session yet.
func newRestartedExecutor(t *testing.T, policy string, all ...capability.Capability) (*testExecutor, *mediation.ApprovalQueue) {
	t.Helper()
	first := newTestExecutor(t, 1)
	offer := first.offer("u", "c")
	err := errors.Join(first.Journal.Accept(newEntry(offer)), first.Journal.StoreQuestion("u", journal.Mediation{AskedUser: "ann", Since: time.Now(),
		PendingOffer: &journal.PendingOffer{Input: json.RawMessage(`{"a":1}`), Timeout: 7 * time.Second, MaxOutputBytes: 9, RequestedBy: "bob"}}), first.Journal.Close())
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Minute)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := journal.Open(journal.Options{Path: first.path, NewID: rand.Text, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	registry, err := capability.NewRegistry(all...)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "mediation.yaml")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	queue := &mediation.ApprovalQueue{Rules: func() (*mediation.Rules, error) { return mediation.LoadRules(path) }, User: "ann", Now: time.Now, Log: log}
	x, err := New(Options{Journal: j, Registry: registry, Policy: queue, Now: time.Now, Concurrency: 1, Grace: 2 * time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return &testExecutor{Executor: x, sink: &sink{finished: map[string][]journal.Entry{}}, path: first.path}, queue
}

func TestAQuestionIsAskedAgainAfterARestartForTheRestOfItsTime(t *testing.T) {
	answerWith := func(allowed bool) func(*testing.T, *testExecutor, *mediation.ApprovalQueue) {
		return func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.Attach(b.sink)
			synctest.Wait()
			open, _ := d.Questions()
			if len(open) != 1 || open[0].RequestedBy != "bob" || open[0].Target != `{"a":1}` || time.Until(open[0].Until).Round(time.Second) != 3*time.Minute {
				t.Errorf("asked %+v", open)
			}
			answerQuestion(t, d, allowed)
		}
	}
	for name, c := range map[string]struct {
		policy string
		during func(*testing.T, *testExecutor, *mediation.ApprovalQueue)
		runs   int
		want   string
	}{
		"yes":                   {"", answerWith(true), 1, "Succeeded//Finished"},
		"no":                    {"", answerWith(false), 0, "Rejected/MediationDenied/NotStarted"},
		"yes, although allowed": {"rules: [{capability: c, decision: allow}]", answerWith(true), 1, "Succeeded//Finished"},
		"refused by the policy": {"rules: [{capability: c, decision: deny}]", func(_ *testing.T, b *testExecutor, _ *mediation.ApprovalQueue) { b.Attach(b.sink) }, 0, "Rejected/MediationDenied/NotStarted"},
		"the time had passed":   {"timeout: 90s", func(_ *testing.T, b *testExecutor, _ *mediation.ApprovalQueue) { b.Attach(b.sink) }, 0, "Rejected/MediationTimedOut/NotStarted"},
		"no session until expiry": {"", func(_ *testing.T, b *testExecutor, _ *mediation.ApprovalQueue) {
			time.Sleep(59 * time.Minute)
			b.runs.Wait()
			b.Attach(b.sink)
		}, 0, "TimedOut/Expired/NotStarted"},
		"nobody answers": {"", func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			b.Attach(b.sink)
			time.Sleep(3*time.Minute - 2*time.Second)
			if open, _ := d.Questions(); len(open) != 1 {
				t.Errorf("%d questions before the time is over", len(open))
			}
			time.Sleep(3 * time.Second)
		}, 0, "Rejected/MediationTimedOut/NotStarted"},
		"cancelled by the first session": {"", func(t *testing.T, b *testExecutor, d *mediation.ApprovalQueue) {
			synctest.Wait()
			if open, _ := d.Questions(); len(open) != 0 {
				t.Error("the person is asked before a session opened")
			}
			b.Attach(b.sink)
			b.Cancel(journal.Ref{UID: "u"})
		}, 0, "Cancelled/Cancelled/NotStarted"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				b, queue := newRestartedExecutor(t, c.policy, mediatedCapability(&runs))
				c.during(t, b, queue)
				b.runs.Wait()
				entry, _, err := b.Journal.Lookup("u")
				if err != nil || entry.Outcome == nil {
					t.Fatalf("%+v, %v", entry, err)
				}
				if got := string(entry.Outcome.Result) + "/" + entry.Outcome.ErrorCode + "/" + string(entry.Outcome.Execution); got != c.want || runs != c.runs {
					t.Errorf("ran %d times, %s, want %s", runs, got, c.want)
				}
				if entry.Mediation.PendingOffer != nil {
					t.Error("the input stays in the journal")
				}
			})
		})
	}
}

func TestAQuestionOfACapabilityThatIsGoneIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newRestartedExecutor(t, "")
		entry, _, err := b.Journal.Lookup("u")
		if err != nil || entry.Outcome == nil || entry.Outcome.Result != journal.Rejected || entry.Outcome.ErrorCode != "UnknownCapability" || entry.Outcome.Execution != journal.NotStarted {
			t.Errorf("%+v, %v", entry.Outcome, err)
		}
	})
}

func TestAnAgentThatStopsLeavesItsQuestionOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		b := newTestExecutor(t, 1, mediatedCapability(&runs))
		attachPerson(b)
		offer := b.offer("u", "c")
		offer.RequestedBy = "bob"
		b.Offer(offer)
		synctest.Wait()
		b.Stop(t.Context())
		entry, _, err := b.Journal.Lookup("u")
		if err != nil || entry.State != journal.Accepted || entry.Mediation == nil || entry.Mediation.Answer != "" {
			t.Fatalf("%+v, %v", entry, err)
		}
		pendingOffer := entry.Mediation.PendingOffer
		if pendingOffer == nil || string(pendingOffer.Input) != `{"a":1}` || pendingOffer.Timeout != offer.Timeout || pendingOffer.MaxOutputBytes != offer.MaxOutputBytes || pendingOffer.RequestedBy != "bob" {
			t.Errorf("held %+v", pendingOffer)
		}
		b.Offer(b.offer("v", "c")) // the next process accepts it
		if _, known, _ := b.Journal.Lookup("v"); known || runs != 0 {
			t.Errorf("after the stop: taken %t, %d runs", known, runs)
		}
	})
}
