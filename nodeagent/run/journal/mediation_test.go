package journal

import (
	"errors"
	"testing"
	"time"
)

func TestNothingStartsAgainstThePersonsAnswer(t *testing.T) {
	for answer, starts := range map[Answer]bool{"": false, Allowed: true, Denied: false, Unanswered: false} {
		j, path := newJournal(t, Limits{PayloadBytes: 20})
		must(t, j.Accept(newEntry("a")), j.StoreQuestion("a", Mediation{AskedUser: "ann", Since: testTime, PendingOffer: &PendingOffer{Input: []byte(`{"a":"xxxxxxxxxxxx"}`)}}))
		if err := acceptAnother(j); !errors.Is(err, ErrFull) {
			t.Errorf("the input that waits for a person does not count: %v", err)
		}
		if answer != "" {
			must(t, j.StoreAnswer("a", answer, "ann", testTime.Add(time.Second)))
		}
		must(t, j.Close())
		j = openAt(t, path, Limits{PayloadBytes: 20}) // the answer must survive a restart
		got, _, err := j.Lookup("a")
		must(t, err)
		if m := got.Mediation; m == nil || m.Answer != answer || m.AskedUser != "ann" || !m.Since.Equal(testTime) || (m.PendingOffer == nil) != (answer != "") {
			t.Errorf("the answer %q is stored as %+v", answer, m)
		}
		if err := j.Start("a", testTime); (err == nil) != starts || (err != nil && !errors.Is(err, ErrWrongState)) {
			t.Errorf("start after %q: %v", answer, err)
		}
		if err := acceptAnother(j); errors.Is(err, ErrFull) != (answer == "") {
			t.Errorf("Accept after the answer %q: %v", answer, err)
		}
		must(t, j.Close())
	}
}

// acceptAnother tries to accept one more dispatch.
func acceptAnother(j *Journal) error { return j.Accept(newEntry("more")) }

func TestOneQuestionOneAnswer(t *testing.T) {
	j, _ := newJournal(t, Limits{})
	must(t, j.Accept(newEntry("a")))
	if err := j.StoreAnswer("a", Allowed, "ann", testTime); !errors.Is(err, ErrWrongState) {
		t.Errorf("an answer without a question: %v", err)
	}
	must(t, j.StoreQuestion("a", Mediation{AskedUser: "ann"}), j.StoreAnswer("a", Denied, "ann", testTime))
	if err := j.StoreAnswer("a", Allowed, "bob", testTime); !errors.Is(err, ErrWrongState) {
		t.Errorf("a second answer: %v", err)
	}
	if err := j.StoreQuestion("a", Mediation{AskedUser: "bob"}); !errors.Is(err, ErrWrongState) {
		t.Errorf("a second question: %v", err)
	}
}
