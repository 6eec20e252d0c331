package dispatch

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// OrderTimes returns next with its new times moved so that creation, dispatch, start and completion
// follow each other. The times come from several clocks. Creation is the API server's time.
// Dispatch and completion are estimates of that time, made by a gateway or by the controller. The
// start is the machine's time. A time that d already stores is never changed.
func OrderTimes(d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) v1alpha1.CapabilityDispatchStatus {
	floor := d.CreationTimestamp.Time
	times := []struct {
		old *metav1.MicroTime
		new **metav1.MicroTime
	}{
		{d.Status.DispatchedTime, &next.DispatchedTime},
		{d.Status.StartedTime, &next.StartedTime},
		{d.Status.CompletedTime, &next.CompletedTime},
	}
	for i, t := range times {
		if *t.new == nil {
			continue
		}
		if t.old == nil {
			at := (*t.new).Time
			if at.Before(floor) {
				at = floor
			}
			for _, later := range times[i+1:] { // only stored times are fixed
				if later.old != nil && at.After(later.old.Time) {
					at = later.old.Time
				}
			}
			moved := metav1.NewMicroTime(at)
			*t.new = &moved
		}
		if floor.Before((*t.new).Time) {
			floor = (*t.new).Time
		}
	}
	return next
}
