// Package proof decides which fields the proofs of the admission policies cover. Reconcilers use a
// field that a policy guards only then.
package proof

import (
	"errors"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/policy"
)

// Proofs reports which times the proofs of the admission policies cover (policy.Record).
// Reconcilers use a field that a policy guards only if it was written at such a time.
type Proofs interface {
	// Current returns the Epoch in force, and whether it is the first one of the cluster.
	Current() (epoch policy.Epoch, first, ok bool)
	// Failing reports whether the policies are disproved now.
	Failing() bool
	// Covers returns whether proofs cover a creation timestamp.
	Covers(created time.Time) (policy.Coverage, policy.Epoch)
	// ProvenAfter reports whether the policies were proven after a time of the API server.
	ProvenAfter(t time.Time) bool
	// Request asks for a proof soon.
	Request()
	// OnEpoch adds a hook that runs before the gates open for an Epoch.
	OnEpoch(hook policy.EpochHook)
}

// RetryDelay is the interval at which an object that waits for a requested proof is retried.
const RetryDelay = 300 * time.Millisecond

// ErrAwaiting means that the next proof decides whether an object may be used.
var ErrAwaiting = errors.New("the next proof of the admission policies decides")

// Retry turns ErrAwaiting into a retry after RetryDelay, and requests the proof.
func Retry(proofs Proofs, result ctrl.Result, err error) (ctrl.Result, error) {
	if errors.Is(err, ErrAwaiting) {
		proofs.Request()
		return ctrl.Result{}, &step.PostponedError{After: RetryDelay}
	}
	return result, err
}

// CoverageChanged passes the proof Lease when times may have become uncovered: the policies are
// disproved, or another Epoch is in force.
var CoverageChanged = predicate.Funcs{
	CreateFunc:  func(e event.CreateEvent) bool { return isProofLease(e.Object) },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		if !isProofLease(e.ObjectNew) {
			return false
		}
		before, after := e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()
		return before[policy.AnnotationFailure] != after[policy.AnnotationFailure] || before[policy.AnnotationEpoch] != after[policy.AnnotationEpoch]
	},
}

func isProofLease(o client.Object) bool {
	lease, ok := o.(*coordinationv1.Lease)
	return ok && lease.Name == v1alpha1.PolicyProofLease
}
