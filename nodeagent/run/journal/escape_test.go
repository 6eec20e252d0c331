package journal

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// markup is an output of 250 KB for which encoding/json writes 1.5 MB.
var markup = `{"report":"` + strings.Repeat("<&>\u2028", 40_000) + `"}`

func TestAnOutputIsRememberedAsItWasWritten(t *testing.T) {
	j, _ := newJournal(t, Limits{})
	must(t, j.Accept(newEntry("a")), j.Start("a", testTime), j.Finish("a", outcomeWith(markup)))
	var stored int
	must(t, j.db.View(func(tx *bolt.Tx) error {
		stored = len(tx.Bucket(dispatchesBucket).Get([]byte("a")))
		return nil
	}))
	if stored > len(markup)+1024 {
		t.Errorf("%d bytes are stored for an output of %d bytes", stored, len(markup))
	}
	if kept, _, err := j.Lookup("a"); err != nil || string(kept.Outcome.Output) != markup {
		t.Errorf("Lookup returns an output of %d bytes, %v", len(kept.Outcome.Output), err)
	}
}

func TestAJournalWithEscapesOfAnEarlierVersionIsReadWithoutThem(t *testing.T) {
	j, path := newJournal(t, Limits{})
	must(t, j.Accept(newEntry("a")), j.Start("a", testTime), j.Finish("a", outcomeWith(markup)))
	escaped := newEntry("a")
	outcome := outcomeWith(markup)
	escaped.State, escaped.StartedTime, escaped.Outcome = Finished, testTime, &outcome
	content, err := json.Marshal(escaped)
	must(t, err, j.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(dispatchesBucket).Put([]byte("a"), content)
	}), j.Close())
	if len(content) < 4*len(markup) {
		t.Fatalf("the entry has %d bytes only", len(content))
	}
	again := openAt(t, path, Limits{})
	defer again.Close()
	open, err := again.Unsettled()
	if err != nil || len(open) != 1 || string(open[0].Outcome.Output) != markup {
		t.Errorf("%d entries, %v", len(open), err)
	}
}

func TestAnOutcomeThatNoGatewayTakesIsReplaced(t *testing.T) {
	j, _ := newJournal(t, Limits{})
	must(t, j.Accept(newEntry("a")), j.Start("a", testTime))
	if err := j.ReplaceOutcome("a", outcomeWith("")); !errors.Is(err, ErrWrongState) {
		t.Errorf("ReplaceOutcome for a running dispatch: %v", err)
	}
	must(t, j.Finish("a", outcomeWith(markup)))
	must(t, j.ReplaceOutcome("a", Outcome{Result: Failed, Execution: Ended, ErrorCode: "InvalidOutput"}))
	if kept, _, err := j.Lookup("a"); err != nil || kept.Outcome.ErrorCode != "InvalidOutput" || kept.Outcome.Output != nil || kept.StartedTime.IsZero() || j.usage.payloadBytes != 0 {
		t.Errorf("%+v, %d bytes of payload, %v", kept, j.usage.payloadBytes, err)
	}
	must(t, j.Settle("a"))
	if err := j.ReplaceOutcome("a", outcomeWith("")); !errors.Is(err, ErrWrongState) {
		t.Errorf("ReplaceOutcome for a settled dispatch: %v", err)
	}
}
