package journal

import (
	"errors"
	"testing"
	"time"
)

func TestNothingStartsAgainstThePersonsAnswer(t *testing.T) {
	for answer, starts := range map[Answer]bool{"": false, Allowed: true, Denied: false, Unanswered: false} {
		j, path := newJournal(t, Limits{PayloadBytes: 20})
		must(t, j.Accept(entry("a")), j.Ask("a", Mediation{AskedUser: "ann", Since: start, Held: &Held{Input: []byte(`{"a":"xxxxxxxxxxxx"}`)}}))
		if err := acceptMore(j); !errors.Is(err, ErrFull) {
			t.Errorf("the input that waits for a person does not count: %v", err)
		}
		if answer != "" {
			must(t, j.Answer("a", answer, "ann", start.Add(time.Second)))
		}
		must(t, j.Close())
		j = openAt(t, path, Limits{PayloadBytes: 20}) // the answer must survive a restart
		got, _, err := j.Lookup("a")
		must(t, err)
		if m := got.Mediation; m == nil || m.Answer != answer || m.AskedUser != "ann" || !m.Since.Equal(start) || (m.Held == nil) != (answer != "") {
			t.Errorf("the answer %q is stored as %+v", answer, m)
		}
		if err := j.Start("a", start); (err == nil) != starts || (err != nil && !errors.Is(err, ErrState)) {
			t.Errorf("start after %q: %v", answer, err)
		}
		if err := acceptMore(j); errors.Is(err, ErrFull) != (answer == "") {
			t.Errorf("Accept after the answer %q: %v", answer, err)
		}
		must(t, j.Close())
	}
}

// acceptMore tries to accept one more dispatch.
func acceptMore(j *Journal) error { return j.Accept(entry("more")) }

func TestOneQuestionOneAnswer(t *testing.T) {
	j, _ := newJournal(t, Limits{})
	must(t, j.Accept(entry("a")))
	if err := j.Answer("a", Allowed, "ann", start); !errors.Is(err, ErrState) {
		t.Errorf("an answer without a question: %v", err)
	}
	must(t, j.Ask("a", Mediation{AskedUser: "ann"}), j.Answer("a", Denied, "ann", start))
	if err := j.Answer("a", Allowed, "bob", start); !errors.Is(err, ErrState) {
		t.Errorf("a second answer: %v", err)
	}
	if err := j.Ask("a", Mediation{AskedUser: "bob"}); !errors.Is(err, ErrState) {
		t.Errorf("a second question: %v", err)
	}
}
