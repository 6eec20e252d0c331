package policy

import (
	"testing"
	"time"
)

// at is a time in seconds of the tests.
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
	if !last(h).confirmed() {
		t.Error("the first epoch of a cluster waits for nothing")
	}
	h = h.afterFailure("broken").afterProof(map[string]string{"p": "0"}, at(60), "second")
	if last(h).confirmed() {
		t.Error("an epoch of one proof is confirmed")
	}
	if h = h.afterProof(map[string]string{"p": "0"}, at(63), "x"); !last(h).confirmed() {
		t.Error("an epoch of three seconds is not confirmed")
	}
}
