package dispatchtable

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// RecordAcceptances records the acceptances of the machine that are not stored yet. If the machine
// returns with a journal that does not contain them, the journal is an old copy.
func (t *Table) RecordAcceptances(now Snapshot) Effects {
	return t.call(now, func() {
		gateway := t.Gateway
		for _, e := range t.entries {
			if !e.acceptanceUnrecorded() || e.busy || e.result != nil {
				continue
			}
			t.write(e, "dispatched", func(d *v1alpha1.CapabilityDispatch, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
				return dispatch.MarkAccepted(d.Status, gateway, now), !dispatch.Finished(d.Status)
			}, func(error) {})
		}
	})
}

// UnrecordedAcceptances returns the dispatches whose acceptance is not stored.
func (t *Table) UnrecordedAcceptances() map[types.UID]bool {
	unrecorded := map[types.UID]bool{}
	for uid, e := range t.entries {
		if e.acceptanceUnrecorded() {
			unrecorded[uid] = true
		}
	}
	return unrecorded
}

// acceptanceUnrecorded reports whether the machine accepted the dispatch and the status does not
// record it.
func (e *entry) acceptanceUnrecorded() bool {
	return e.accepted && !e.settled && !dispatch.Finished(e.d.Status) && !dispatch.Accepted(e.d.Status)
}
