package report

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/controllers/backoff"
)

// FailureEvents is the backoff.Reporter for objects that have no condition of this controller. It
// records an Event about the object.
type FailureEvents struct {
	recorder events.EventRecorder
	find     func(context.Context, client.ObjectKey) client.Object
}

// NewFailureEvents returns the reporter for objects of the same kind as empty.
func NewFailureEvents(mgr ctrl.Manager, empty client.Object) FailureEvents {
	return FailureEvents{recorder: NewRecorder(mgr), find: func(ctx context.Context, key client.ObjectKey) client.Object {
		object := empty.DeepCopyObject().(client.Object)
		if err := mgr.GetClient().Get(ctx, key, object); err != nil {
			object.SetNamespace(key.Namespace) // without the UID, "kubectl describe" does not show the Event
			object.SetName(key.Name)
		}
		return object
	}}
}

// Report records an Event about the failure; it never fails.
func (f FailureEvents) Report(ctx context.Context, key client.ObjectKey, failed error) error {
	Emit(f.recorder, f.find(ctx, key), corev1.EventTypeWarning, backoff.FailureReason(failed), "Reconcile", failed.Error())
	return nil
}

// Resolve does nothing: an Event needs no removal.
func (f FailureEvents) Resolve(context.Context, client.ObjectKey) error { return nil }
