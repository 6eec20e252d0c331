package journal

import (
	"testing"
	"time"
)

// TestWhatIsNotDueIsNotRead verifies that Prune reads nothing while no entry is due. An idle agent
// calls it twice a minute.
func TestWhatIsNotDueIsNotRead(t *testing.T) {
	j, path := newJournal(t, Limits{})
	for i, uid := range []string{"late", "soon", "never settled"} {
		e := newEntry(uid)
		e.Expires = testTime.Add(time.Duration(3-i) * time.Hour) // 3, 2, 1
		must(t, j.Accept(e), j.Finish(uid, outcomeWith(`1`)))
		if uid != "never settled" {
			must(t, j.Settle(uid))
		}
	}
	for range 2 { // with the open journal, and after opening it again
		reads := j.db.Stats().TxN
		must(t, j.Prune(testTime.Add(2*time.Hour+retention)))
		if again := j.db.Stats().TxN; again != reads {
			t.Errorf("%d reads to find that nothing is due", again-reads)
		}
		must(t, j.Close())
		j = openAt(t, path, Limits{})
	}
	must(t, j.Prune(testTime.Add(2*time.Hour+retention+time.Second)))
	if _, known, _ := j.Lookup("soon"); known {
		t.Error("a due entry was not pruned")
	}
	must(t, j.Prune(testTime.Add(3*time.Hour+retention+time.Second)))
	for uid, want := range map[string]bool{"late": false, "never settled": true} {
		if _, known, _ := j.Lookup(uid); known != want {
			t.Errorf("%s is known: %t", uid, known)
		}
	}
}
