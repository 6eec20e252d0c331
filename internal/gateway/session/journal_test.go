package session

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestJournalsAreComparedWithTheRecordedSession(t *testing.T) {
	ended := metav1.NewTime(noon.Add(time.Hour))
	cases := map[string]struct {
		journal     string
		dials       int64
		last        v1alpha1.NodeStatus
		rival       bool
		wantReset   bool
		wantClone   bool
		wantRefused bool
	}{
		"the first session ever":            {"a", 1, v1alpha1.NodeStatus{}, false, false, false, false},
		"the next dial":                     {"a", 6, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon}, false, false, false, false},
		"an overtaken dial":                 {"a", 4, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon}, false, false, false, true},
		"the same dial again":               {"a", 5, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon}, false, false, false, true},
		"an old copy of the journal":        {"a", 5, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon, SessionEndedTime: &ended}, false, true, false, false},
		"a new journal":                     {"b", 1, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon, SessionEndedTime: &ended}, false, true, false, false},
		"another journal in a live session": {"b", 9, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon}, false, true, true, false},
		"another journal was just put out":  {"b", 9, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon, SessionEndedTime: &ended}, true, true, true, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &session{journal: c.journal, dials: c.dials, rival: c.rival}
			reset, err := s.compareJournals(&v1alpha1.Node{Status: c.last})
			if refused := errors.Is(err, errReplaced); refused != c.wantRefused || reset != c.wantReset || s.facts.clone != c.wantClone {
				t.Errorf("reset %t, clone %t, error %v; want reset %t, clone %t, refused %t", reset, s.facts.clone, err, c.wantReset, c.wantClone, c.wantRefused)
			}
		})
	}
}
