// Package node maintains the controller's part of Nodes.
package node

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/index"
	"github.com/mooring-dev/mooring/controllers/nodestatus"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// reconciler maintains the controller's part of Node.status. It removes the finalizer of a
// deleted Node when its session and its dispatches have ended.
type reconciler struct {
	client      client.Client
	live        client.Reader
	clock       clock.PassiveClock
	budget      nodestatus.WriteBudget
	staleAfter  time.Duration
	trustDomain string
	specs       *proof.Specs
}

// Options configures the reconciler.
type Options struct {
	// TrustDomain is the trust domain of the SPIFFE IDs of machines.
	TrustDomain string
	// StaleAfter is how long a Node without a session is Stale before it is Offline.
	StaleAfter time.Duration
	// Specs holds which fields of Nodes are proven.
	Specs *proof.Specs
	// Stalled is shared with the other reconcilers of Nodes.
	Stalled *report.StalledMessages
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds the reconciler of Nodes to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
	if err := index.AddUnfinished(mgr); err != nil {
		return err
	}
	r := &reconciler{client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: options.Clock, budget: nodestatus.NewWriteBudget(),
		staleAfter: options.StaleAfter, trustDomain: options.TrustDomain, specs: options.Specs}
	runner := backoff.New(r, report.NewStalledNode(mgr, options.Clock, "node", options.Stalled))
	return ctrl.NewControllerManagedBy(mgr).
		Named("node").
		For(&v1alpha1.Node{}).
		// Every status names the Epoch of its comparison, so a new Epoch of the proofs concerns all
		// Nodes.
		Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(r.allNodes), builder.WithPredicates(proof.CoverageChanged)).
		// The deletion of a Node continues when its last dispatch is finished or deleted.
		Watches(&v1alpha1.CapabilityDispatch{}, handler.EnqueueRequestsFromMapFunc(r.deletingNodeOf), builder.WithPredicates(becameFinished)).
		WithOptions(runner.Options(backoff.MaxConcurrentReconciles)).
		Complete(runner)
}

func (r *reconciler) allNodes(ctx context.Context, _ client.Object) []reconcile.Request {
	list := &v1alpha1.NodeList{}
	if err := r.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the nodes")
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// becameFinished passes dispatches that no longer delay the deletion of their Node.
var becameFinished = predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		d, ok := e.ObjectNew.(*v1alpha1.CapabilityDispatch)
		return ok && dispatch.Finished(d.Status)
	},
}

func (r *reconciler) deletingNodeOf(ctx context.Context, o client.Object) []reconcile.Request {
	d, ok := o.(*v1alpha1.CapabilityDispatch)
	if !ok {
		return nil
	}
	key := types.NamespacedName{Namespace: d.Namespace, Name: d.Spec.NodeName}
	node := &v1alpha1.Node{}
	if err := r.client.Get(ctx, key, node); err != nil || node.DeletionTimestamp.IsZero() {
		return nil
	}
	return []reconcile.Request{{NamespacedName: key}}
}

// Reconcile adds the finalizer to one Node, updates its status, revokes it, or finalizes it.
func (r *reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	node := &v1alpha1.Node{}
	if err := r.client.Get(ctx, key.NamespacedName, node); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return step.Run(ctx, node, r.finalize, r.addFinalizer, r.revokeOnRequest, r.updateStatus).Result(ctx)
}

// addFinalizer adds the finalizer of a Node. The write is an event.
func (r *reconciler) addFinalizer(ctx context.Context, node *v1alpha1.Node) step.Outcome {
	if controllerutil.ContainsFinalizer(node, v1alpha1.FinalizerNode) {
		return step.Continue()
	}
	return step.End(r.setFinalizer(ctx, node, true))
}

// updateStatus updates the status within the write budget.
func (r *reconciler) updateStatus(ctx context.Context, node *v1alpha1.Node) step.Outcome {
	view := nodestatus.NewView(node, r.clock.Now(), r.staleAfter)
	record, awaitingProof := r.specs.Evaluate(node)
	view.FillProvenSpec(node, record, r.clock.Now())
	if awaitingProof {
		view.RequeueWithin(proof.RetryDelay)
	}
	if !nodestatus.UpToDate(node.Status, view.Status) {
		if wait := nodestatus.InitialGrace(node, r.clock.Now()); wait > 0 && (record == nil || record.UnprovenKeysSHA256+record.UnprovenCapabilityPolicySHA256 == "") {
			return step.Postpone(wait)
		}
		if wait := r.budget.Take(); wait > 0 {
			return step.Postpone(wait)
		}
		if err := status.ApplyToNode(ctx, r.client, node, v1alpha1.FieldManagerController, view.Status); err != nil {
			return step.Fail(err)
		}
		ctrl.LoggerFrom(ctx).Info("node changed", "trust", view.Status.Trust, "presence", view.Status.Presence)
	}
	return step.Wait(view.RequeueAfter, "the status of the node is up to date")
}

// finalize removes the finalizer of a deleted Node once its session has ended and all its
// dispatches are finished. Gateways cut the session of a deleted Node; the dispatch controller then
// settles. The cache suffices to wait, but the last check before the removal reads live: a lagging
// cache may lack the newest dispatches.
func (r *reconciler) finalize(ctx context.Context, node *v1alpha1.Node) step.Outcome {
	if node.DeletionTimestamp.IsZero() {
		return step.Continue()
	}
	if !controllerutil.ContainsFinalizer(node, v1alpha1.FinalizerNode) || dispatch.SessionOf(node).Live() {
		return step.Wait(0, "the deleted node has a live session or no finalizer") // an event of the Node follows
	}
	key := client.ObjectKeyFromObject(node)
	unfinished, err := index.Unfinished(ctx, r.client, key)
	if err != nil {
		return step.Fail(err)
	}
	if len(unfinished) > 0 {
		return step.Wait(0, "the deleted node has unfinished dispatches") // an event of a dispatch follows
	}
	hasOpen, err := index.HasUnfinished(ctx, r.live, key)
	switch {
	case err != nil:
		return step.Fail(err)
	case hasOpen:
		return step.Wait(backoff.CacheRetryDelay, "the deleted node may have unfinished dispatches")
	}
	r.specs.Forget(node.UID)
	return step.End(r.setFinalizer(ctx, node, false))
}

func (r *reconciler) setFinalizer(ctx context.Context, node *v1alpha1.Node, present bool) error {
	before := node.DeepCopy()
	if present {
		controllerutil.AddFinalizer(node, v1alpha1.FinalizerNode)
	} else {
		controllerutil.RemoveFinalizer(node, v1alpha1.FinalizerNode)
	}
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, node, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("set the finalizer of node %q: %w", node.Name, err)
	}
	return nil
}
