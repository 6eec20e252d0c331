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
	rivalled := v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon, Conditions: []metav1.Condition{
		{Type: v1alpha1.ConditionSuspectedClone, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonDialRepeated, LastTransitionTime: noon}}}
	before := *rivalled.DeepCopy()
	before.Conditions[0].LastTransitionTime = metav1.NewTime(noon.Add(-time.Second))
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
		"after a rival was seen":            {"a", 6, rivalled, false, true, false, false},
		"a rival was seen before that":      {"a", 6, before, false, false, false, false},
		"another journal, long on its way":  {"b", 9, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: ptr(metav1.NewTime(noon.Add(time.Second)))}, false, false, false, true},
		"its own record":                    {"a", 5, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionID: "mine", SessionStartedTime: &noon}, false, false, false, false},
		"another journal was just put out":  {"b", 9, v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionStartedTime: &noon, SessionEndedTime: &ended}, true, true, true, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &session{id: "mine", journalID: c.journal, dialCounter: c.dials, dialedAt: noon.Add(1500 * time.Millisecond), journalConflict: c.rival}
			reset, err := s.compareJournals(&v1alpha1.Node{Status: c.last})
			if refused := errors.Is(err, errReplaced); refused != c.wantRefused || reset != c.wantReset || s.facts.CloneSuspected != c.wantClone {
				t.Errorf("reset %t, clone %t, error %v; want reset %t, clone %t, refused %t", reset, s.facts.CloneSuspected, err, c.wantReset, c.wantClone, c.wantRefused)
			}
		})
	}
}

func TestOneAgentDialsOneAfterTheOther(t *testing.T) {
	ended := metav1.NewTime(noon.Add(time.Hour))
	live := v1alpha1.NodeStatus{JournalID: "a", DialCounter: 5, SessionID: "other", SessionStartedTime: &noon}
	over, own := live, live
	over.SessionEndedTime, own.SessionID = &ended, "mine"
	cases := map[string]struct {
		journal string
		dials   int64
		dialed  time.Time
		last    v1alpha1.NodeStatus
		want    bool
	}{
		"overtaken on its way":                   {"a", 4, noon.Add(-time.Second), live, false},
		"overtaken, as far as clocks can tell":   {"a", 4, noon.Add(dialTimeTolerance), live, false},
		"begun after the later one was recorded": {"a", 4, noon.Add(dialTimeTolerance + time.Second), live, true},
		"the count of the live session":          {"a", 5, noon.Add(-time.Second), live, true},
		"its own record":                         {"a", 5, noon.Add(-time.Second), own, false},
		"newer":                                  {"a", 6, noon.Add(time.Hour), live, false},
		"another journal":                        {"b", 5, noon.Add(time.Hour), live, false},
		"put back after the session ended":       {"a", 4, noon.Add(2 * time.Hour), over, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := &session{id: "mine", journalID: c.journal, dialCounter: c.dials, dialedAt: c.dialed}
			if got := s.repeatsLiveDial(&v1alpha1.Node{Status: c.last}); got != c.want {
				t.Errorf("repeatsLiveDial() = %t, want %t", got, c.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
