package dispatch

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// InOrder returns next with the times that d does not have yet moved so that creation, dispatch,
// start and completion follow each other. They come from several clocks: creation from the API
// server's, dispatch and completion from a gateway's or the controller's estimate of it, the start
// from the machine's. A stored time is never changed.
func InOrder(d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) v1alpha1.CapabilityDispatchStatus {
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
			for _, later := range times[i+1:] { // only what is stored is fixed
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
