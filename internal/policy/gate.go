package policy

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/fields"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Errors that Gate.Check wraps.
var (
	// ErrNoProof means that there was no proof yet.
	ErrNoProof = errors.New("the admission policies are not proven yet: is the controller running and are config/policy and config/rbac applied?")
	// ErrStaleProof means that the last proof is too old.
	ErrStaleProof = errors.New("the last proof of the admission policies is too old: is the controller running?")
	// ErrDisproved means that the last attempt found policies that do not work.
	ErrDisproved = errors.New("the admission policies do not work")
)

// Gate reports whether the admission policies are proven. It runs on every replica and watches only
// the proof Lease. Without updates of the Lease, the proof expires and the gate closes.
type Gate struct {
	namespace string
	config    *rest.Config
	clock     clock.PassiveClock
	last      atomic.Pointer[coordinationv1.Lease]
}

// NewGate returns a closed Gate, which the watch of Start can open. namespace is the namespace of
// the proof Lease; clock gives the API server's time.
func NewGate(config *rest.Config, namespace string, clock clock.PassiveClock) *Gate {
	return &Gate{namespace: namespace, config: config, clock: clock}
}

// NeedLeaderElection returns false: every replica needs the gate.
func (g *Gate) NeedLeaderElection() bool { return false }

// Start watches the Lease until ctx ends.
func (g *Gate) Start(ctx context.Context) error {
	watch, err := cache.New(g.config, cache.Options{
		Scheme:            clientgoscheme.Scheme,
		DefaultNamespaces: map[string]cache.Config{g.namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", v1alpha1.PolicyProofLease)}},
		DefaultTransform:  cache.TransformStripManagedFields(),
	})
	if err != nil {
		return fmt.Errorf("watch the proof of the admission policies: %w", err)
	}
	informer, err := watch.GetInformer(ctx, &coordinationv1.Lease{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch the proof of the admission policies: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { g.storeLease(obj) },
		UpdateFunc: func(_, obj any) { g.storeLease(obj) },
		DeleteFunc: func(any) { g.last.Store(nil) },
	})
	if err != nil {
		return fmt.Errorf("watch the proof of the admission policies: %w", err)
	}
	return watch.Start(ctx)
}

func (g *Gate) storeLease(obj any) {
	if lease, ok := obj.(*coordinationv1.Lease); ok {
		g.last.Store(lease)
	}
}

// Check returns nil while the last proof is fresh and no fault was found since. The error wraps
// ErrNoProof, ErrStaleProof or ErrDisproved and explains what to do.
func (g *Gate) Check() error { return check(g.last.Load(), g.clock.Now()) }

// Failing reports whether the policies were once proven and are now disproved, and the time of the
// last good proof. Objects created since then must not be trusted. A stale or missing proof is not
// a failure: then callers wait.
func (g *Gate) Failing() (since time.Time, failing bool) { return Failing(g.last.Load()) }

// Failing is Gate.Failing for a given Lease; nil counts as never proven.
func Failing(lease *coordinationv1.Lease) (since time.Time, failing bool) {
	if lease == nil || lease.Spec.RenewTime == nil || lease.Annotations[AnnotationFailure] == "" {
		return time.Time{}, false
	}
	return lease.Spec.RenewTime.Time, true
}

func check(lease *coordinationv1.Lease, now time.Time) error {
	switch {
	case lease == nil:
		return ErrNoProof
	case lease.Annotations[AnnotationFailure] != "":
		return fmt.Errorf("%w: %s", ErrDisproved, lease.Annotations[AnnotationFailure])
	case lease.Spec.RenewTime == nil:
		return ErrNoProof
	}
	if age := now.Sub(lease.Spec.RenewTime.Time); age >= Freshness {
		return fmt.Errorf("%w (%s)", ErrStaleProof, age.Truncate(time.Second))
	}
	return nil
}
