package dispatch

import (
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// DeleteAt is when a finished dispatch is to be deleted: ttlSecondsAfterFinished after it was
// completed, or, when that is unset, after retention (0: it is kept). ok is false when it is to
// be kept.
func DeleteAt(d *v1alpha1.CapabilityDispatch, retention time.Duration) (at time.Time, ok bool) {
	if !Finished(d.Status) || d.Status.CompletedTime == nil {
		return time.Time{}, false
	}
	completed := d.Status.CompletedTime.Time
	if ttl := d.Spec.TTLSecondsAfterFinished; ttl != nil {
		return completed.Add(seconds(*ttl)), true
	}
	return completed.Add(retention), retention > 0
}
