package journal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openAt(t rapid.TB, path string, limits Limits) *Journal {
	t.Helper()
	j, err := Open(Options{
		Path: path, Limits: limits, NewID: rand.Text, Now: func() time.Time { return testTime },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func newJournal(t *testing.T, limits Limits) (*Journal, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	j := openAt(t, path, limits)
	t.Cleanup(func() { j.Close() })
	return j, path
}

func newEntry(uid string) Entry {
	return Entry{Dispatch: Ref{Namespace: "fleet", Name: "d", UID: uid}, Capability: "echo", Expires: testTime.Add(time.Hour)}
}

func outcomeWith(output string) Outcome {
	return Outcome{Result: Succeeded, Execution: Ended, Output: []byte(output), FinishedTime: testTime}
}

func must(t rapid.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestADispatchIsRememberedFromAcceptanceToAnHourAfterItsExpiry(t *testing.T) {
	j, _ := newJournal(t, Limits{})
	must(t, j.Accept(newEntry("a")), j.Start("a", testTime), j.Finish("a", outcomeWith(`{"x":1}`)))
	open, err := j.Unsettled()
	if err != nil || len(open) != 1 || string(open[0].Outcome.Output) != `{"x":1}` {
		t.Fatalf("unsettled: %+v, %v", open, err)
	}
	must(t, j.Prune(testTime.Add(100*time.Hour)))
	if _, known, _ := j.Lookup("a"); !known {
		t.Fatal("an unsettled result was pruned")
	}
	must(t, j.Settle("a"), j.Prune(testTime.Add(2*time.Hour)))
	got, known, err := j.Lookup("a")
	if err != nil || !known {
		t.Fatalf("pruned at its expiry + 1 h, which is too early: %v", err)
	}
	want := newEntry("a")
	want.State, want.StartedTime, want.Settled = Finished, testTime, true
	want.Outcome = &Outcome{Result: Succeeded, Execution: Ended, FinishedTime: testTime}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after Settled (-want +got):\n%s", diff)
	}
	must(t, j.Prune(testTime.Add(2*time.Hour+time.Second)))
	if _, known, _ := j.Lookup("a"); known {
		t.Error("the entry is never pruned")
	}
	if horizon, err := j.Horizon(); err != nil || !horizon.Equal(newEntry("a").Expires) {
		t.Errorf("horizon %v, %v; want the expiry of the pruned entry", horizon, err)
	}
}

func TestStepsOutOfOrderAreRefused(t *testing.T) {
	j, _ := newJournal(t, Limits{})
	must(t, j.Accept(newEntry("a")))
	for name, step := range map[string]func() error{
		"accept twice":         func() error { return j.Accept(newEntry("a")) },
		"refuse a known uid":   func() error { return j.StoreRejection(newEntry("a"), outcomeWith("1")) },
		"settle a running one": func() error { return j.Settle("a") },
	} {
		if err := step(); !errors.Is(err, ErrWrongState) {
			t.Errorf("%s: got %v, want ErrState", name, err)
		}
	}
	must(t, j.Start("a", testTime))
	if err := j.Start("a", testTime); !errors.Is(err, ErrWrongState) {
		t.Errorf("start twice: got %v, want ErrState", err)
	}
	must(t, j.Finish("a", outcomeWith("1")))
	if err := j.Finish("a", outcomeWith("2")); !errors.Is(err, ErrWrongState) {
		t.Errorf("finish twice: got %v, want ErrState", err)
	}
	if err := j.Start("b", testTime); !errors.Is(err, ErrNotFound) {
		t.Errorf("start the unknown: got %v, want ErrUnknown", err)
	}
}

func TestAFullJournalRefusesAndForgetsNothing(t *testing.T) {
	for name, limits := range map[string]Limits{
		"entries": {Entries: 2}, "unsettled": {Unsettled: 2}, "output": {PayloadBytes: 20},
	} {
		t.Run(name, func(t *testing.T) {
			j, path := newJournal(t, limits)
			must(t, j.StoreRejection(newEntry("a"), outcomeWith(`"0123456789"`)), j.StoreRejection(newEntry("b"), outcomeWith(`"0123456789"`)))
			for range 2 {
				if err := j.Accept(newEntry("c")); !errors.Is(err, ErrFull) {
					t.Fatalf("got %v, want ErrFull", err)
				}
				must(t, j.Close())
				j = openAt(t, path, limits) // Open counts the entries of the file
			}
			defer j.Close()
			must(t, j.Settle("a"))
			if err := j.Accept(newEntry("c")); (err == nil) != (name != "entries") {
				t.Errorf("Accept after a dispatch was settled: %v", err)
			}
			if _, known, _ := j.Lookup("a"); !known {
				t.Error("a settled dispatch was pruned")
			}
		})
	}
}

func TestEveryDialIsCountedOverRestarts(t *testing.T) {
	j, path := newJournal(t, Limits{})
	id := j.ID()
	for want := uint64(1); want < 4; want++ {
		got, err := j.IncrementDialCounter()
		if err != nil || got != want {
			t.Fatalf("dial %d: got %d, %v", want, got, err)
		}
		must(t, j.Close())
		j = openAt(t, path, Limits{})
	}
	defer j.Close()
	if j.ID() != id {
		t.Error("the journal changed its id over a restart")
	}
}

func TestADamagedJournalIsMovedAsideAndANewOneHasAnotherID(t *testing.T) {
	for name, damage := range map[string]func(content []byte) []byte{
		"garbage":          func([]byte) []byte { return []byte("this is no database at all, but it is long enough to be read") },
		"cut in half":      func(c []byte) []byte { return c[:len(c)/2] },
		"cut by one page":  func(c []byte) []byte { return c[:3*os.Getpagesize()] },
		"zeroed meta":      func(c []byte) []byte { return append(make([]byte, 2*os.Getpagesize()), c[2*os.Getpagesize():]...) },
		"overwritten data": func(c []byte) []byte { return overwritePages(c) },
	} {
		t.Run(name, func(t *testing.T) {
			j, path := newJournal(t, Limits{})
			for i := range 200 {
				must(t, j.Accept(newEntry(fmt.Sprint(i))))
			}
			id := j.ID()
			must(t, j.Close())
			content, err := os.ReadFile(path)
			must(t, err, os.WriteFile(path, damage(content), 0o600))
			again := openAt(t, path, Limits{})
			defer again.Close()
			if again.ID() == id {
				t.Error("the new journal has the id of the lost one")
			}
			aside, err := filepath.Glob(path + ".damaged-*")
			if err != nil || len(aside) != 1 {
				t.Errorf("moved aside: %v, %v", aside, err)
			}
			must(t, again.Accept(newEntry("new")))
		})
	}
}

// overwritePages overwrites everything after the two meta pages.
func overwritePages(content []byte) []byte {
	for i := 2 * os.Getpagesize(); i < len(content); i++ {
		content[i] = 0xa5
	}
	return content
}

// TestAKillAtAnyPointLosesNothingThatWasSaid runs random steps and "kills" the process at random
// points: it copies the file as the disk has it and opens the copy.
func TestAKillAtAnyPointLosesNothingThatWasSaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "journal")
		must(t, err)
		defer os.RemoveAll(dir)
		m := &model{path: filepath.Join(dir, "0"), dir: dir, states: map[string]State{}, starts: map[string]int{}, settled: map[string]bool{}}
		m.j = openAt(t, m.path, Limits{})
		m.id = m.j.ID()
		defer func() { m.j.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"accept": m.accept, "start": m.startRun, "finish": m.finish, "settle": m.settle,
			"prune": m.prune, "dial": m.dial, "kill": m.kill, "": m.check,
		})
	})
}

type model struct {
	dir, path, id string
	j             *Journal
	generation    int
	dialCounter   uint64
	states        map[string]State
	starts        map[string]int
	settled       map[string]bool
}

func (m *model) uid(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "uid")
}

func (m *model) accept(t *rapid.T) {
	uid := m.uid(t)
	if err := m.j.Accept(newEntry(uid)); err == nil {
		if _, known := m.states[uid]; known {
			t.Fatalf("%s was accepted twice", uid)
		}
		m.states[uid] = Accepted
	}
}

func (m *model) startRun(t *rapid.T) {
	uid := m.uid(t)
	if m.j.Start(uid, testTime) == nil {
		if m.starts[uid]++; m.starts[uid] > 1 {
			t.Fatalf("%s was started twice", uid)
		}
		m.states[uid] = Running
	}
}

func (m *model) finish(t *rapid.T) {
	if uid := m.uid(t); m.j.Finish(uid, outcomeWith(`"`+uid+`"`)) == nil {
		m.states[uid] = Finished
	}
}

func (m *model) settle(t *rapid.T) {
	if uid := m.uid(t); m.j.Settle(uid) == nil {
		m.settled[uid] = true
	}
}

// prune calls Prune at a time at which no entry is due.
func (m *model) prune(t *rapid.T) { must(t, m.j.Prune(testTime.Add(2*time.Hour))) }

func (m *model) dial(t *rapid.T) {
	got, err := m.j.IncrementDialCounter()
	must(t, err)
	if m.dialCounter++; got != m.dialCounter {
		t.Fatalf("dial %d counted as %d", m.dialCounter, got)
	}
}

func (m *model) kill(t *rapid.T) {
	content, err := os.ReadFile(m.path)
	must(t, err)
	m.generation++
	m.path = filepath.Join(m.dir, fmt.Sprint(m.generation))
	must(t, os.WriteFile(m.path, content, 0o600), m.j.Close())
	m.j = openAt(t, m.path, Limits{})
	if m.j.ID() != m.id {
		t.Fatal("the journal was classified as damaged")
	}
}

func (m *model) check(t *rapid.T) {
	for uid, want := range m.states {
		got, known, err := m.j.Lookup(uid)
		must(t, err)
		if !known || got.State != want || got.Settled != m.settled[uid] {
			t.Fatalf("%s: got %s (known %t, settled %t), want %s (settled %t)", uid, got.State, known, got.Settled, want, m.settled[uid])
		}
		if want == Finished && !got.Settled && string(got.Outcome.Output) != `"`+uid+`"` {
			t.Fatalf("the result of %s is lost", uid)
		}
	}
}
