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

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/nodeagent/mediation"
)

// attended sets the policy of b to an approval queue whose user is ann.
func attended(b *bench) *mediation.Desk {
	desk := &mediation.Desk{
		Rules: func() (*mediation.Rules, error) {
			return mediation.LoadRules(filepath.Join(filepath.Dir(b.path), "none.yaml"))
		},
		User: "ann", Now: time.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	b.Policy = desk
	return desk
}

// mediated returns a capability that needs a person and counts its runs.
func mediated(runs *int) capabilityFunc {
	return capabilityFunc{name: "c", mediation: capability.Local, run: func(context.Context, capability.Request) (json.RawMessage, error) {
		*runs++
		return json.RawMessage("1"), nil
	}}
}

func TestAPersonDecidesAndItIsToldInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		during func(*testing.T, *bench, *mediation.Desk)
		runs   int
		steps  string
		result journal.Result
		code   string
	}{
		"yes": {func(t *testing.T, b *bench, d *mediation.Desk) { answer(t, d, true) }, 1, "u asked ann,u allowed", journal.Succeeded, ""},
		"no":  {func(t *testing.T, b *bench, d *mediation.Desk) { answer(t, d, false) }, 0, "u asked ann", journal.Rejected, "MediationDenied"},
		"nobody": {func(t *testing.T, b *bench, d *mediation.Desk) { time.Sleep(6 * time.Minute) }, 0, "u asked ann", journal.Rejected,
			"MediationTimedOut"},
		"cancelled meanwhile": {func(t *testing.T, b *bench, d *mediation.Desk) { b.Cancel(journal.Ref{UID: "u"}) }, 0, "u asked ann", journal.Cancelled, "Cancelled"},
		"deleted meanwhile":   {func(t *testing.T, b *bench, d *mediation.Desk) { b.Settled(journal.Ref{UID: "u"}) }, 0, "u asked ann", journal.Cancelled, "Cancelled"},
		"the offer comes again": {func(t *testing.T, b *bench, d *mediation.Desk) {
			b.Offer(b.offer("u", "c"))
			answer(t, d, true)
			b.Offer(b.offer("u", "c"))
		}, 1, "u asked ann,u asked ann,u allowed", journal.Succeeded, ""},
		"it expires first": {func(t *testing.T, b *bench, d *mediation.Desk) {
			expiring := b.offer("v", "c")
			expiring.Expires = time.Now().Add(time.Minute)
			b.Offer(expiring)
			synctest.Wait()
			answer(t, d, true)
			time.Sleep(2 * time.Minute)
			if o := b.sink.last(t, "v").Outcome; o.Result != journal.TimedOut || o.Execution != journal.NotStarted || o.ErrorCode != "Expired" {
				t.Errorf("v: %s/%s/%s", o.Result, o.Execution, o.ErrorCode)
			}
		}, 1, "u asked ann,v asked ann,u allowed", journal.Succeeded, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				b := newBench(t, 1, mediated(&runs))
				desk := attended(b)
				b.Offer(b.offer("u", "c"))
				synctest.Wait()
				c.during(t, b, desk)
				b.runs.Wait()
				o := b.sink.last(t, "u").Outcome
				if runs != c.runs || o.Result != c.result || o.ErrorCode != c.code || (c.runs == 0 && o.Execution != journal.NotStarted) {
					t.Errorf("ran %d times, %s/%s/%s", runs, o.Result, o.Execution, o.ErrorCode)
				}
				if got := strings.Join(b.sink.steps, ","); got != c.steps {
					t.Errorf("reported %s, want %s", got, c.steps)
				}
				if open, _ := desk.Questions(); len(open) != 0 {
					t.Errorf("%d questions stay open", len(open))
				}
			})
		})
	}
}

func answer(t *testing.T, desk *mediation.Desk, allowed bool) {
	t.Helper()
	if _, err := desk.Answer("u", allowed, "ann"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func TestWhileAPersonThinksOthersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		b := newBench(t, 1, mediated(&runs), stubborn("free", time.Second))
		desk := attended(b)
		b.Offer(b.offer("u", "c"))
		b.Offer(b.offer("w", "free"))
		time.Sleep(2 * time.Second)
		if o := b.sink.last(t, "w").Outcome; o.Result != journal.Succeeded {
			t.Errorf("w: %s", o.Result)
		}
		answer(t, desk, false)
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
		first := newBench(t, 1, mediated(&runs))
		entry := entryOf(first.offer("u", "c"))
		err := errors.Join(first.Journal.Accept(entry), first.Journal.Ask("u", journal.Mediation{AskedUser: "ann"}))
		if given != "" {
			err = errors.Join(err, first.Journal.Answer("u", given, "ann", time.Now()))
		}
		if err := errors.Join(err, first.Journal.Close()); err != nil {
			t.Fatal(err)
		}
		b := reopen(t, first.path, 1, journal.Limits{}, mediated(&runs))
		desk := attended(b)
		b.Offer(b.offer("u", "c"))
		o := b.sink.last(t, "u").Outcome
		if string(o.Result) != want[0] || o.ErrorCode != want[1] || o.Execution != journal.NotStarted {
			t.Errorf("%q: %s/%s/%s (%s)", given, o.Result, o.Execution, o.ErrorCode, o.ErrorMessage)
		}
		if open, _ := desk.Questions(); len(open) != 0 || runs != 0 {
			t.Errorf("%q: %d questions, %d runs after the restart", given, len(open), runs)
		}
	}
}

func TestProgressIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late func(int, string)
		b := newBench(t, 1, capabilityFunc{name: "c", run: func(_ context.Context, r capability.Request) (json.RawMessage, error) {
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
