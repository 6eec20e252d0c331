package policy

import (
	"context"
	"errors"
	"testing"
	"time"
)

// at returns a test time, in seconds after a fixed start.
func at(seconds float64) time.Time {
	return time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func TestAnObjectCountsOnlyBetweenTwoProofsOfOneEpoch(t *testing.T) {
	same, restored := map[string]string{"Policy nodes": "a/1"}, map[string]string{"Policy nodes": "b/1"}
	edited := map[string]string{"Policy nodes": "a/2"}
	install := history{}.afterProof(same, at(0), "first")
	for _, tt := range []struct {
		name    string
		history history
		created float64
		want    Coverage
		epoch   string
	}{
		{"before the first proof ever: adopted", install, -1000, Covered, "first"},
		{"just now: a later proof covers it", install, 0, Awaiting, ""},
		{"between two proofs of the same objects", install.afterProof(same, at(60), "x"), 30, Covered, "first"},
		{"nobody proved for a day, nothing changed", install.afterProof(same, at(86400), "x"), 40000, Covered, "first"},
		{"in the last second before a proof", install.afterProof(same, at(60), "x"), 58, Awaiting, ""},
		{"a policy deleted and restored between two proofs", install.afterProof(restored, at(60), "second"), 30, Uncovered, ""},
		{"a policy edited and edited back between two proofs", install.afterProof(edited, at(60), "second"), 30, Uncovered, ""},
		{"before it was deleted, and proven since", install.afterProof(same, at(60), "x").afterProof(restored, at(120), "second"), 30, Covered, "first"},
		{"while known to fail", install.afterFailure("policy nodes is missing"), 30, Uncovered, ""},
		{"while known to fail, after the repair", install.afterFailure("policy nodes is missing").afterProof(same, at(60), "second"), 30, Uncovered, ""},
		{"too near to the repair to tell", install.afterFailure("policy nodes is missing").afterProof(same, at(60), "second").afterProof(same, at(90), "x"), 61, Uncovered, ""},
		{"after the repair", install.afterFailure("policy nodes is missing").afterProof(same, at(60), "second").afterProof(same, at(90), "x"), 70, Covered, "second"},
		{"no proof yet", history{}, 30, Awaiting, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, epoch := tt.history.covers(at(tt.created))
			if got != tt.want || (got == Covered && epoch.ID != tt.epoch) {
				t.Errorf("covers = %v in %q, want %v in %q", got, epoch.ID, tt.want, tt.epoch)
			}
		})
	}
}

func TestTheRecordOfEpochsIsBoundedAndForgetsTowardsRefusal(t *testing.T) {
	h := history{}.afterProof(map[string]string{"p": "0"}, at(0), "first")
	for i := range 3 * maxEpochs {
		h = h.afterProof(map[string]string{"p": string(rune('a' + i))}, at(float64(100*i+100)), "next")
	}
	if len(h.Epochs) > maxEpochs {
		t.Errorf("%d epochs are kept, at most %d may be", len(h.Epochs), maxEpochs)
	}
	if got, _ := h.covers(at(-1000)); got != Uncovered {
		t.Errorf("an object of an epoch that was dropped is %v, want Uncovered", got)
	}
}

func TestGatesStayShutUntilAnEpochIsConfirmed(t *testing.T) {
	h := history{}.afterProof(map[string]string{"p": "0"}, at(0), "first")
	if !lastEpoch(h).confirmed() {
		t.Error("the first epoch of a cluster waits for nothing")
	}
	h = h.afterFailure("broken").afterProof(map[string]string{"p": "0"}, at(60), "second")
	if lastEpoch(h).confirmed() {
		t.Error("an epoch of one proof is confirmed")
	}
	if h = h.afterProof(map[string]string{"p": "0"}, at(63), "x"); !lastEpoch(h).confirmed() {
		t.Error("an epoch of three seconds is not confirmed")
	}
}

func TestARecordAnswersFromItsLastProof(t *testing.T) {
	r := NewRecord()
	if _, _, ok := r.Current(); ok || r.Failing() {
		t.Error("an empty record has an epoch in force or a failure")
	}
	first := history{}.afterProof(map[string]string{"p": "0", "q": "0"}, at(0), "first")
	r.set(first)
	if epoch, adopted, ok := r.Current(); !ok || !adopted || epoch.ID != "first" || r.Failing() {
		t.Errorf("after the first proof: %+v, first %v, ok %v, failing %v", epoch, adopted, ok, r.Failing())
	}
	r.set(first.afterFailure("broken"))
	if _, _, ok := r.Current(); ok || !r.Failing() {
		t.Error("an epoch is in force while the policies are disproved")
	}
	second := first.afterFailure("broken").afterProof(map[string]string{"p": "1", "q": "0"}, at(60), "second")
	r.set(second)
	if epoch, adopted, ok := r.Current(); !ok || adopted || epoch.ID != "second" {
		t.Errorf("after the repair: %+v, first %v, ok %v", epoch, adopted, ok)
	}
	if got := first.changed(map[string]string{"p": "1", "q": "0", "new": "0"}); got != "p" {
		t.Errorf("changed = %q, want p alone", got)
	}
	if !r.ProvenAfter(at(59)) || r.ProvenAfter(at(60)) {
		t.Error("a proof at 60 s is after 59 s, and not after 60 s")
	}
}

func TestTheRecordKeepsExactlySoManyEpochsForSoLong(t *testing.T) {
	grow := func(epochs int, began time.Time) history {
		h := history{}
		for i := range epochs {
			h = h.afterProof(map[string]string{"p": string(rune('a' + i))}, began.Add(time.Duration(i)*time.Second), "next")
		}
		return h
	}
	if h := grow(maxEpochs, at(0)); len(h.Epochs) != maxEpochs {
		t.Errorf("%d of %d epochs are kept", len(h.Epochs), maxEpochs)
	}
	for late, want := range map[time.Duration]int{0: 2, time.Second: 1} {
		h := grow(1, at(0)).afterProof(map[string]string{"p": "other"}, at(0).Add(epochRetention+late), "later")
		if len(h.Epochs) != want {
			t.Errorf("%s after its time, %d epochs are kept, want %d", late, len(h.Epochs), want)
		}
	}
	alone := history{}.afterProof(map[string]string{"p": "0"}, at(0), "only").afterFailure("broken")
	alone.Failure = ""
	if h := alone.afterProof(map[string]string{"p": "0"}, at(0).Add(2*epochRetention), "x"); len(h.Epochs) != 1 {
		t.Errorf("the epoch in force is not kept: %d", len(h.Epochs))
	}
}

func TestAHookThatFailsEndsTheSweep(t *testing.T) {
	r := NewRecord()
	broken := errors.New("broken")
	called := 0
	r.OnEpoch(func(context.Context, Epoch, bool) error { called++; return nil })
	r.OnEpoch(func(context.Context, Epoch, bool) error { called++; return broken })
	if err := r.runHooks(t.Context()); err != nil || called != 0 {
		t.Errorf("without an epoch: %d hooks ran, %v", called, err)
	}
	r.set(history{}.afterProof(nil, at(0), "first"))
	if err := r.runHooks(t.Context()); !errors.Is(err, broken) || called != 2 {
		t.Errorf("%d hooks ran, %v", called, err)
	}
}
