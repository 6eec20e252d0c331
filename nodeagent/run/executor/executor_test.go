package executor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/mooring-dev/mooring/api/errorcode"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capabilityFunc is a capability that runs a function.
type capabilityFunc struct {
	name        string
	mediation   capability.Mediation
	schema      string
	unavailable string
	limit       time.Duration
	run         func(context.Context, capability.Request) (json.RawMessage, error)
}

func (c capabilityFunc) Name() string        { return c.name }
func (c capabilityFunc) Description() string { return c.name }
func (c capabilityFunc) Unavailable() string { return c.unavailable }
func (c capabilityFunc) Schema() json.RawMessage {
	if c.schema == "" {
		return nil
	}
	return json.RawMessage(c.schema)
}
func (c capabilityFunc) Limit() time.Duration {
	if c.limit == 0 {
		return 24 * time.Hour
	}
	return c.limit
}
func (c capabilityFunc) Mediation() capability.Mediation { return c.mediation }
func (c capabilityFunc) Run(ctx context.Context, r capability.Request) (json.RawMessage, error) {
	return c.run(ctx, r)
}

// sink stores the events that it receives.
type sink struct {
	mu       sync.Mutex
	accepted []string
	finished map[string][]journal.Entry
	steps    []string
}

func (s *sink) Accepted(d journal.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepted = append(s.accepted, d.UID)
}

func (s *sink) Finished(e journal.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished[e.Dispatch.UID] = append(s.finished[e.Dispatch.UID], e)
}

func (s *sink) Asked(d journal.Ref, user string, _ time.Time) { s.step(d, "asked "+user) }
func (s *sink) Allowed(d journal.Ref)                         { s.step(d, "allowed") }
func (s *sink) Progress(d journal.Ref, percent int, message string) {
	s.step(d, fmt.Sprintf("%d %s", percent, message))
}

func (s *sink) step(d journal.Ref, event string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, d.UID+" "+event)
}

// lastFinished returns the last outcome that was reported for a dispatch.
func (s *sink) lastFinished(t *testing.T, uid string) journal.Entry {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	entries := s.finished[uid]
	if len(entries) == 0 {
		t.Fatalf("no outcome of %s was reported", uid)
	}
	return entries[len(entries)-1]
}

type testExecutor struct {
	*Executor
	sink *sink
	path string
}

// unattendedPolicy is the policy of a machine without a person: it denies runs that need one.
type unattendedPolicy struct{}

func (unattendedPolicy) AllowsWithoutQuestion(q mediation.Question) bool { return !q.MediationRequired }

func (unattendedPolicy) Decide(_ context.Context, q mediation.Question, _ mediation.AnswerStore) error {
	if q.MediationRequired {
		return &mediation.Denied{Code: errorcode.MediationDenied, Message: "no person is asked"}
	}
	return nil
}

// newTestExecutor returns an executor on a new journal; slots is its concurrency.
func newTestExecutor(t *testing.T, slots int, all ...capability.Capability) *testExecutor {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "journal.db"), slots, journal.Limits{}, all...)
}

func reopen(t *testing.T, path string, slots int, limits journal.Limits, all ...capability.Capability) *testExecutor {
	t.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := journal.Open(journal.Options{Path: path, Limits: limits, NewID: rand.Text, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	registry, err := capability.NewRegistry(all...)
	if err != nil {
		t.Fatal(err)
	}
	x, err := New(Options{Journal: j, Registry: registry, Policy: unattendedPolicy{}, Now: time.Now, Concurrency: slots, Grace: 2 * time.Second, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	b := &testExecutor{Executor: x, sink: &sink{finished: map[string][]journal.Entry{}}, path: path}
	x.Attach(b.sink)
	t.Cleanup(func() { j.Close() })
	return b
}

func (b *testExecutor) offer(uid, name string) Offer {
	return Offer{
		Dispatch: journal.Ref{Namespace: "fleet", Name: uid, UID: uid}, Capability: name, Input: json.RawMessage(`{"a":1}`),
		Timeout: 30 * time.Second, Expires: time.Now().Add(time.Hour), MaxOutputBytes: 1 << 16,
	}
}

// blockingCapability returns a capability that runs until ctx ends.
func blockingCapability(name string) capabilityFunc {
	return capabilityFunc{name: name, run: func(ctx context.Context, _ capability.Request) (json.RawMessage, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
}

// stubbornCapability returns a capability that runs for d and ignores ctx.
func stubbornCapability(name string, d time.Duration) capabilityFunc {
	return capabilityFunc{name: name, run: func(context.Context, capability.Request) (json.RawMessage, error) {
		time.Sleep(d)
		return json.RawMessage(`"late"`), nil
	}}
}

func TestEveryWayARunEnds(t *testing.T) {
	failing := func(err error) capabilityFunc {
		return capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) { return nil, err }}
	}
	for name, c := range map[string]struct {
		capability capabilityFunc
		change     func(*Offer)
		during     func(*testExecutor)
		result     journal.Result
		execution  journal.Execution
		code       string
	}{
		"it returns":                          {capability: stubbornCapability("c", time.Second), result: journal.Succeeded, execution: journal.Ended},
		"it fails":                            {capability: failing(errors.New("no")), result: journal.Failed, execution: journal.Ended, code: "CapabilityFailed"},
		"it fails with a code":                {capability: failing(&capability.Error{Code: "NoDisplay", Message: "no"}), result: journal.Failed, execution: journal.Ended, code: "NoDisplay"},
		"it panics":                           {capability: capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) { panic("x") }}, result: journal.Failed, execution: journal.Ended, code: "CapabilityFailed"},
		"it returns no JSON":                  {capability: capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) { return json.RawMessage("{"), nil }}, result: journal.Failed, execution: journal.Ended, code: "InvalidOutput"},
		"it returns a number that is rounded": {capability: returningCapability(`{"n":18446744073709551615}`), result: journal.Failed, execution: journal.Ended, code: "InvalidOutput"},
		"it returns a long exact number":      {capability: returningCapability(`{"n":9223372036854775807,"m":1e20}`), result: journal.Succeeded, execution: journal.Ended},
		"its input holds a rounded number":    {capability: blockingCapability("c"), change: func(o *Offer) { o.Input = json.RawMessage(`{"n":18446744073709552000}`) }, result: journal.Rejected, execution: journal.NotStarted, code: "InvalidInput"},
		"it honours its deadline":             {capability: blockingCapability("c"), result: journal.TimedOut, execution: journal.Ended, code: "Timeout"},
		"it ignores its deadline":             {capability: stubbornCapability("c", time.Hour), result: journal.TimedOut, execution: journal.Started, code: "Timeout"},
		"it ends just after":                  {capability: stubbornCapability("c", 31*time.Second), result: journal.Succeeded, execution: journal.Ended},
		"it is cancelled":                     {capability: blockingCapability("c"), during: func(b *testExecutor) { b.Cancel(journal.Ref{UID: "u"}) }, result: journal.Cancelled, execution: journal.Ended, code: "Cancelled"},
		"it ignores the cancellation":         {capability: stubbornCapability("c", time.Hour), during: func(b *testExecutor) { b.Cancel(journal.Ref{UID: "u"}) }, result: journal.Cancelled, execution: journal.Started, code: "Cancelled"},
		"it does not exist":                   {capability: blockingCapability("other"), result: journal.Rejected, execution: journal.NotStarted, code: "UnknownCapability"},
		"its input is a list":                 {capability: blockingCapability("c"), change: func(o *Offer) { o.Input = json.RawMessage("[]") }, result: journal.Rejected, execution: journal.NotStarted, code: "InvalidInput"},
		"its input is null":                   {capability: blockingCapability("c"), change: func(o *Offer) { o.Input = json.RawMessage("null") }, result: journal.Rejected, execution: journal.NotStarted, code: "InvalidInput"},
		"its input does not fit":              {capability: capabilityFunc{name: "c", schema: `{"properties":{"a":{"type":"string"}}}`}, result: journal.Rejected, execution: journal.NotStarted, code: "InvalidInput"},
		"it cannot run here":                  {capability: capabilityFunc{name: "c", unavailable: "no display"}, result: journal.Rejected, execution: journal.NotStarted, code: "CapabilityUnavailable"},
		"it returns no UTF-8": {capability: capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
			return json.RawMessage("\"\xff\""), nil
		}}, result: journal.Failed, execution: journal.Ended, code: "InvalidOutput"},
		"its own limit is shorter":     {capability: capabilityFunc{name: "c", limit: time.Second, run: blockingCapability("").run}, result: journal.TimedOut, execution: journal.Ended, code: "Timeout"},
		"it expired":                   {capability: blockingCapability("c"), change: func(o *Offer) { o.Expires = time.Now() }, result: journal.TimedOut, execution: journal.NotStarted, code: "Expired"},
		"it needs a person":            {capability: capabilityFunc{name: "c", mediation: capability.MediationLocal}, result: journal.Rejected, execution: journal.NotStarted, code: "MediationDenied"},
		"its dispatch is settled away": {capability: stubbornCapability("c", time.Second), during: func(b *testExecutor) { b.Settled(journal.Ref{UID: "u"}) }, result: journal.Succeeded, execution: journal.Ended},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTestExecutor(t, 4, c.capability)
				offer := b.offer("u", "c")
				if c.change != nil {
					c.change(&offer)
				}
				b.Offer(offer)
				synctest.Wait()
				if c.during != nil {
					c.during(b)
				}
				time.Sleep(time.Minute)
				got := b.sink.lastFinished(t, "u")
				if o := got.Outcome; o.Result != c.result || o.Execution != c.execution || o.ErrorCode != c.code {
					t.Errorf("got %s/%s/%q, want %s/%s/%q", o.Result, o.Execution, o.ErrorCode, c.result, c.execution, c.code)
				}
				time.Sleep(2 * time.Hour) // until the stubborn capabilities return
			})
		})
	}
}

func TestAnOfferPastItsExpiryIsNotAccepted(t *testing.T) {
	b := newTestExecutor(t, 1, blockingCapability("c"))
	offer := b.offer("u", "c")
	offer.Expires = time.Now()
	b.Offer(offer)
	if o := b.sink.lastFinished(t, "u").Outcome; o.Result != journal.TimedOut || len(b.sink.accepted) != 0 {
		t.Errorf("%s, accepted %v", o.Result, b.sink.accepted)
	}
}

func TestAnOfferThatComesAgainIsAnsweredFromTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		b := newTestExecutor(t, 4, capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
			runs++
			time.Sleep(time.Second)
			return json.RawMessage(`1`), nil
		}})
		offer := b.offer("u", "c")
		for range 3 {
			b.Offer(offer)
		}
		time.Sleep(time.Minute)
		b.Offer(offer)
		b.Settled(offer.Dispatch)
		b.Offer(offer)
		time.Sleep(time.Minute)
		if runs != 1 {
			t.Errorf("it ran %d times", runs)
		}
		if got := len(b.sink.accepted); got != 3 {
			t.Errorf("the acceptance was reported %d times, want 3", got)
		}
		if got := len(b.sink.finished["u"]); got != 3 {
			t.Errorf("the outcome was reported %d times, want 3: after the run, and for each later offer", got)
		}
	})
}

func TestOnlySoManyRunAtOnceAndTheOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestExecutor(t, 2, stubbornCapability("c", time.Second))
		start := time.Now()
		for _, uid := range []string{"a", "b", "c", "d"} {
			b.Offer(b.offer(uid, "c"))
		}
		b.runs.Wait()
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("four runs of 1 s on two slots took %s", took)
		}
	})
}

func TestWhatWaitsForASlotCanStillEndUnstarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestExecutor(t, 1, stubbornCapability("slow", time.Hour), stubbornCapability("c", 0))
		b.Offer(b.offer("slow", "slow"))
		synctest.Wait()
		expiring := b.offer("expires", "c")
		expiring.Expires = time.Now().Add(time.Minute)
		b.Offer(expiring)
		b.Offer(b.offer("cancelled", "c"))
		b.Offer(b.offer("deleted", "c"))
		synctest.Wait()
		b.Cancel(journal.Ref{UID: "cancelled"})
		b.Settled(journal.Ref{UID: "deleted"})
		time.Sleep(2 * time.Minute)
		for uid, want := range map[string]journal.Result{"expires": journal.TimedOut, "cancelled": journal.Cancelled, "deleted": journal.Cancelled} {
			if o := b.sink.lastFinished(t, uid).Outcome; o.Result != want || o.Execution != journal.NotStarted {
				t.Errorf("%s: got %s/%s, want %s/NotStarted", uid, o.Result, o.Execution, want)
			}
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestACancellationOfTheUnknownIsAnsweredUnstarted(t *testing.T) {
	b := newTestExecutor(t, 1)
	b.Cancel(journal.Ref{UID: "never"})
	if o := b.sink.lastFinished(t, "never").Outcome; o.Result != journal.Cancelled || o.Execution != journal.NotStarted {
		t.Errorf("got %s/%s", o.Result, o.Execution)
	}
}

func TestAfterARestartWhatWasInterruptedIsSaidTruthfully(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "journal.db")
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	j, err := journal.Open(journal.Options{Path: path, NewID: rand.Text, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, uid := range []string{"waited", "ran", "done"} {
		if err := j.Accept(journal.Entry{Dispatch: journal.Ref{UID: uid}, Capability: "c", Expires: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(j.Start("ran", time.Now()), j.Start("done", time.Now()),
		j.Finish("done", journal.Outcome{Result: journal.Succeeded, Execution: journal.Ended}), j.Close())
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	b := reopen(t, path, 1, journal.Limits{}, capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
		ran = true
		return json.RawMessage("1"), nil
	}})
	for uid, want := range map[string][2]string{
		"waited": {"Failed", "NotStarted"}, "ran": {"Failed", "Unknown"}, "done": {"Succeeded", "Finished"},
	} {
		b.Offer(b.offer(uid, "c")) // the gateway offers the dispatch again
		got := b.sink.lastFinished(t, uid).Outcome
		if string(got.Result) != want[0] || string(got.Execution) != want[1] {
			t.Errorf("%s: got %s/%s, want %v", uid, got.Result, got.Execution, want)
		}
		if want[0] == "Failed" && got.ErrorCode != "AgentRestarted" {
			t.Errorf("%s: code %q, want AgentRestarted", uid, got.ErrorCode)
		}
	}
	b.runs.Wait()
	if ran {
		t.Error("a dispatch ran a second time")
	}
}

func TestStoppingEndsWhatRunsAndTellsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTestExecutor(t, 2, blockingCapability("c"), stubbornCapability("deaf", time.Hour))
		b.Offer(b.offer("runs", "c"))
		b.Offer(b.offer("deaf", "deaf"))
		synctest.Wait()
		b.Offer(b.offer("waits", "c"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		b.Stop(ctx)
		for uid, want := range map[string]journal.Execution{"runs": journal.Ended, "waits": journal.NotStarted, "deaf": journal.Unknown} {
			if o := b.sink.lastFinished(t, uid).Outcome; o.ErrorCode != "AgentRestarted" || o.Execution != want {
				t.Errorf("%s: got %s/%s, want AgentRestarted/%s", uid, o.ErrorCode, o.Execution, want)
			}
		}
		b.Offer(b.offer("late", "c"))
		if _, known, _ := b.Journal.Lookup("late"); known {
			t.Error("an offer was taken after Stop")
		}
		time.Sleep(2 * time.Hour)
	})
}

func TestAFullJournalRejectsWithoutARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := reopen(t, filepath.Join(t.TempDir(), "journal.db"), 1, journal.Limits{Unsettled: 1}, blockingCapability("c"))
		b.Offer(b.offer("first", "c"))
		b.Offer(b.offer("second", "c"))
		if o := b.sink.lastFinished(t, "second").Outcome; o.Result != journal.Rejected || o.Execution != journal.NotStarted || o.ErrorCode != "JournalFull" {
			t.Errorf("got %s/%s/%s", o.Result, o.Execution, o.ErrorCode)
		}
		time.Sleep(time.Minute)
	})
}

func TestClocksThatWentBackCannotMakeAForgottenDispatchRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		b := newTestExecutor(t, 1, capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
			runs++
			return json.RawMessage("1"), nil
		}})
		offer := b.offer("u", "c")
		b.Offer(offer)
		b.runs.Wait()
		b.Settled(offer.Dispatch)
		if err := b.Journal.Prune(offer.Expires.Add(2 * time.Hour)); err != nil {
			t.Fatal(err)
		}
		b.Offer(offer) // by the machine's clock it has not expired
		b.runs.Wait()
		if o := b.sink.lastFinished(t, "u").Outcome; runs != 1 || o.Execution != journal.Unknown {
			t.Errorf("it ran %d times, reported %s; want once, Unknown", runs, o.Execution)
		}
	})
}

func TestAnOutputOverTheBoundIsCutAndMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := `{"text":"` + strings.Repeat("é", 100) + `"}`
		b := newTestExecutor(t, 1, capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
			return json.RawMessage(long), nil
		}})
		offer := b.offer("u", "c")
		offer.MaxOutputBytes = 64
		b.Offer(offer)
		b.runs.Wait()
		got := b.sink.lastFinished(t, "u").Outcome
		var text string
		if err := json.Unmarshal(got.Output, &text); err != nil || !strings.HasPrefix(long, text) || !got.OutputTruncated || len(got.Output) > 64 {
			t.Errorf("kept %q (truncated %t): %v", got.Output, got.OutputTruncated, err)
		}
	})
}

func returningCapability(output string) capabilityFunc {
	return capabilityFunc{name: "c", run: func(context.Context, capability.Request) (json.RawMessage, error) {
		return json.RawMessage(output), nil
	}}
}
