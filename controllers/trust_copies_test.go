package controllers

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// The copies are not watched: applying them again is the only repair of foreign changes.
func TestTheNextLookIsInTimeForTheCopies(t *testing.T) {
	r := &trustReconciler{
		clock:       clocktesting.NewFakePassiveClock(start),
		authorities: []*authority{{asked: start.Add(-30 * time.Minute)}, {asked: start}},
	}
	if got := r.untilNext(); got != trustRefresh-30*time.Minute {
		t.Errorf("without copies the next reconcile is in %s", got)
	}
	r.copies.namespaces = []string{"agents"}
	if got := r.untilNext(); got != copyEvery {
		t.Errorf("with copies the next reconcile is in %s, want %s", got, copyEvery)
	}
}
