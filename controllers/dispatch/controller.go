// Package dispatch settles dispatches of Nodes without a session and deletes finished ones.
package dispatch

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/index"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/policy"
)

// reconciler settles the dispatches of Nodes without a live session, and deletes finished
// dispatches when their retention is over.
type reconciler struct {
	client    client.Client
	live      client.Reader
	clock     clock.PassiveClock
	proofs    proof.Proofs
	retention time.Duration
	maxQueued int
}

// Options configures the reconciler.
type Options struct {
	// Retention is the time after which finished dispatches without their own TTL are deleted; zero
	// keeps them.
	Retention time.Duration
	// MaxQueuedPerNode bounds the unfinished dispatches of a Node; zero means no bound.
	MaxQueuedPerNode int
	// Proofs reports which times the proofs of the policies cover.
	Proofs proof.Proofs
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds the reconciler of dispatches to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
	r := &reconciler{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: options.Clock,
		proofs:    options.Proofs,
		retention: options.Retention, maxQueued: options.MaxQueuedPerNode,
	}
	runner := backoff.New(r, report.NewFailureEvents(mgr, &v1alpha1.CapabilityDispatch{}))
	return ctrl.NewControllerManagedBy(mgr).
		Named("dispatch").
		For(&v1alpha1.CapabilityDispatch{}).
		Watches(&v1alpha1.Node{}, handler.EnqueueRequestsFromMapFunc(r.dispatchesOfNode), builder.WithPredicates(factsChanged)).
		Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(r.unfinishedDispatches), builder.WithPredicates(proof.CoverageChanged)).
		WithOptions(runner.Options(backoff.MaxConcurrentReconciles)).
		Complete(runner)
}

// DropPayloads strips the fields that the controller never reads. Writing a status without the
// input is safe: the API server keeps the stored spec, and an unfinished dispatch has no output
// yet.
func DropPayloads(obj any) (any, error) {
	if d, ok := obj.(*v1alpha1.CapabilityDispatch); ok {
		d.ManagedFields, d.Spec.Input, d.Status.Output = nil, nil, nil
	}
	return obj, nil
}

// factsChanged passes Nodes whose facts for dispatches changed.
var factsChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.Node)
	after, ok2 := e.ObjectNew.(*v1alpha1.Node)
	return ok && ok2 && !equality.Semantic.DeepEqual(dispatch.FactsOf(before), dispatch.FactsOf(after))
}}

func (r *reconciler) dispatchesOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	list, err := index.Unfinished(ctx, r.client, client.ObjectKeyFromObject(o))
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the dispatches of a node")
	}
	return unfinishedRequests(list)
}

func (r *reconciler) unfinishedDispatches(ctx context.Context, _ client.Object) []reconcile.Request {
	list := &v1alpha1.CapabilityDispatchList{}
	if err := r.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the unfinished dispatches")
	}
	return unfinishedRequests(list.Items)
}

func unfinishedRequests(list []v1alpha1.CapabilityDispatch) []reconcile.Request {
	var requests []reconcile.Request
	for i := range list {
		if !dispatch.Finished(list[i].Status) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list[i])})
		}
	}
	return requests
}

// Reconcile settles one dispatch, deletes it, or requeues it.
func (r *reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	d := &v1alpha1.CapabilityDispatch{}
	if err := r.client.Get(ctx, key.NamespacedName, d); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !d.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	return step.Run(ctx, d, r.deleteExpired, r.settle).Result(ctx)
}

// deleteExpired deletes a finished dispatch when its retention is over.
func (r *reconciler) deleteExpired(ctx context.Context, d *v1alpha1.CapabilityDispatch) step.Outcome {
	if !dispatch.Finished(d.Status) {
		return step.Continue()
	}
	at, ok := dispatch.DeletionTime(d, r.retention)
	if !ok {
		return step.Done()
	}
	if remaining := at.Sub(r.clock.Now()); remaining > 0 {
		return step.Wait(remaining, "the retention of the dispatch is not over")
	}
	// The resource version is a precondition too: a user may have extended the TTL.
	err := r.client.Delete(ctx, d, client.Preconditions{UID: &d.UID, ResourceVersion: &d.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return step.Fail(fmt.Errorf("delete dispatch %q: %w", d.Name, err))
	}
	return step.Done()
}

// settle decides twice. The first decision uses the cache, which is nearly always enough to wait.
// The decision before a write uses a Node that was read after the dispatch, which the proofs
// require.
func (r *reconciler) settle(ctx context.Context, d *v1alpha1.CapabilityDispatch) step.Outcome {
	now := r.clock.Now()
	var settled *v1alpha1.CapabilityDispatchStatus
	for _, reader := range []client.Reader{r.client, r.live} {
		node, err := nodeOf(ctx, reader, d)
		if err != nil {
			return step.Fail(err)
		}
		facts := dispatch.FactsOf(node)
		verdict, err := r.decide(ctx, d, facts, now)
		switch {
		case err != nil:
			return step.Fail(err)
		case verdict.Status == nil:
			return step.Wait(verdict.RequeueAfter, dispatchWaitReason(d, facts))
		}
		settled = verdict.Status
	}
	d.Status = dispatch.OrderTimes(d, *settled)
	if err := r.client.Status().Update(ctx, d, client.FieldOwner(v1alpha1.FieldManagerController)); err != nil {
		return step.End(client.IgnoreNotFound(fmt.Errorf("settle dispatch %q: %w", d.Name, err)))
	}
	ctrl.LoggerFrom(ctx).Info("dispatch settled", "node", d.Spec.NodeName, "phase", d.Status.Phase, "execution", d.Status.Execution, "code", d.Status.Error.Code)
	return step.Done()
}

// decide adds to the pure verdict the state of other objects: unproven policies and full queues.
func (r *reconciler) decide(ctx context.Context, d *v1alpha1.CapabilityDispatch, facts dispatch.Facts, now time.Time) (dispatch.LeaderVerdict, error) {
	if coverage, _ := r.proofs.Covers(d.CreationTimestamp.Time); coverage == policy.Uncovered {
		return dispatch.LeaderVerdict{Status: dispatch.FinishPolicyUnproven(d, facts, now)}, nil
	}
	verdict := dispatch.DecideLeaderless(d, facts, now)
	if verdict.Status != nil || facts.SessionLive || r.maxQueued <= 0 || !facts.ProvenUnstarted(d) {
		return verdict, nil
	}
	ahead, err := r.countAhead(ctx, d)
	if err == nil && ahead >= r.maxQueued {
		full := dispatch.RejectQueueFull(d.Status, now)
		verdict = dispatch.LeaderVerdict{Status: &full}
	}
	return verdict, err
}

// countAhead counts the unfinished dispatches of the same Node that are before d in the queue.
func (r *reconciler) countAhead(ctx context.Context, d *v1alpha1.CapabilityDispatch) (int, error) {
	list, err := index.Unfinished(ctx, r.client, types.NamespacedName{Namespace: d.Namespace, Name: d.Spec.NodeName})
	count := 0
	for i := range list {
		other := &list[i]
		earlier := other.CreationTimestamp.Before(&d.CreationTimestamp)
		if earlier || (other.CreationTimestamp.Equal(&d.CreationTimestamp) && other.UID < d.UID) {
			count++
		}
	}
	return count, err
}

// nodeOf returns the Node of a dispatch, or nil if it does not exist.
func nodeOf(ctx context.Context, reader client.Reader, d *v1alpha1.CapabilityDispatch) (*v1alpha1.Node, error) {
	node := &v1alpha1.Node{}
	err := reader.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: d.Spec.NodeName}, node)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read node %q: %w", d.Spec.NodeName, err)
	}
	return node, nil
}

// dispatchWaitReason returns the reason why the leader does not settle a dispatch, for the log.
func dispatchWaitReason(d *v1alpha1.CapabilityDispatch, facts dispatch.Facts) string {
	switch {
	case facts.SessionLive:
		return "the gateway with the session of the node settles the dispatch"
	case facts.ProvenUnstarted(d):
		return "the dispatch has not started and waits for a session of the node"
	default:
		return "the dispatch may have started and its machine may still report"
	}
}
