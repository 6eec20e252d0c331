package controllers

import (
	"errors"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/mooring-dev/mooring/api/v1alpha1"
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

// proofRetryDelay is the interval at which an object that waits for a requested proof is retried.
const proofRetryDelay = 300 * time.Millisecond

// errAwaitingProof means that the next proof decides whether an object may be used.
var errAwaitingProof = errors.New("the next proof of the admission policies decides")

// retryUnproven turns errAwaitingProof into a retry after proofRetryDelay, and requests the proof.
func retryUnproven(proofs Proofs, result ctrl.Result, err error) (ctrl.Result, error) {
	if errors.Is(err, errAwaitingProof) {
		proofs.Request()
		return ctrl.Result{}, postpone(proofRetryDelay)
	}
	return result, err
}

// observedValues stores when this process first saw a value, to tell a later proof from an earlier
// one. It is lost with the process, and the wait begins again.
type observedValues struct {
	mu sync.Mutex
	at map[types.UID]observedValue
}

type observedValue struct {
	value string
	since time.Time
}

// since returns when a value of an object was first seen; for a new value it returns now.
func (s *observedValues) since(uid types.UID, value string, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if observed, ok := s.at[uid]; ok && observed.value == value {
		return observed.since
	}
	if s.at == nil {
		s.at = map[types.UID]observedValue{}
	}
	s.at[uid] = observedValue{value, now}
	return now
}

// isOwnDecision reports whether this process wrote the value itself.
func (s *observedValues) isOwnDecision(uid types.UID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[uid].value == ownDecision
}

func (s *observedValues) forget(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.at, uid)
}

// coverageChanged passes the proof Lease when times may have become uncovered: the policies are
// disproved, or another Epoch is in force.
var coverageChanged = predicate.Funcs{
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
