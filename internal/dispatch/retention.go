package dispatch

import (
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// DeletionTime returns when a finished dispatch must be deleted: ttlSecondsAfterFinished after its
// completion or, if that field is unset, retention after it. A retention of 0 keeps the dispatch.
// ok is false if the dispatch must be kept.
func DeletionTime(d *v1alpha1.CapabilityDispatch, retention time.Duration) (at time.Time, ok bool) {
	if !Finished(d.Status) || d.Status.CompletedTime == nil {
		return time.Time{}, false
	}
	completed := d.Status.CompletedTime.Time
	if ttl := d.Spec.TTLSecondsAfterFinished; ttl != nil {
		return completed.Add(secondsDuration(*ttl)), true
	}
	return completed.Add(retention), retention > 0
}
