package trust

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// The copies are not watched: applying them again is the only repair of foreign changes.
func TestTheNextLookIsInTimeForTheCopies(t *testing.T) {
	r := &reconciler{
		clock:       clocktesting.NewFakePassiveClock(start),
		authorities: []*authority{{refreshedAt: start.Add(-30 * time.Minute)}, {refreshedAt: start}},
	}
	if got := r.nextRefresh(); got != trustRefreshInterval-30*time.Minute {
		t.Errorf("without copies the next reconcile is in %s", got)
	}
	r.copies.namespaces = []string{"agents"}
	if got := r.nextRefresh(); got != copyInterval {
		t.Errorf("with copies the next reconcile is in %s, want %s", got, copyInterval)
	}
}
