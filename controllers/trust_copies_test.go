package controllers

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// Copies are not watched: what somebody did to them is undone because they are applied again.
func TestTheNextLookIsInTimeForTheCopies(t *testing.T) {
	r := &trustReconciler{
		clock:       clocktesting.NewFakePassiveClock(start),
		authorities: []*authority{{asked: start.Add(-30 * time.Minute)}, {asked: start}},
	}
	if got := r.untilNext(); got != trustRefresh-30*time.Minute {
		t.Errorf("without copies the next look is in %s", got)
	}
	r.copies.namespaces = []string{"agents"}
	if got := r.untilNext(); got != copyEvery {
		t.Errorf("with copies the next look is in %s, want %s", got, copyEvery)
	}
}
