package controllers

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
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
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// cacheRetryDelay is the requeue delay when the cache may not have caught up yet.
const cacheRetryDelay = time.Second

// nodeReconciler maintains the controller's part of Node.status. It removes the finalizer of a
// deleted Node when its session and its dispatches have ended.
type nodeReconciler struct {
	client      client.Client
	live        client.Reader
	clock       clock.PassiveClock
	budget      writeBudget
	staleAfter  time.Duration
	trustDomain string
	specs       *provenSpecs
}

func setupNode(mgr ctrl.Manager, options Options) error {
	if err := indexUnfinished(mgr); err != nil {
		return err
	}
	r := &nodeReconciler{client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: options.Clock, budget: newWriteBudget(),
		staleAfter: options.StaleAfter, trustDomain: options.TrustDomain, specs: options.specs}
	backOff := newBackOff(r, newStalledNodeReporter(mgr, options.Clock, "node", options.stalled))
	return ctrl.NewControllerManagedBy(mgr).
		Named("node").
		For(&v1alpha1.Node{}).
		// Every status names the Epoch of its comparison, so a new Epoch of the proofs concerns all
		// Nodes.
		Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(r.allNodes), builder.WithPredicates(coverageChanged)).
		// The deletion of a Node continues when its last dispatch is finished or deleted.
		Watches(&v1alpha1.CapabilityDispatch{}, handler.EnqueueRequestsFromMapFunc(r.deletingNodeOf), builder.WithPredicates(becameFinished)).
		WithOptions(backOff.options(maxConcurrentReconciles)).
		Complete(backOff)
}

func (r *nodeReconciler) allNodes(ctx context.Context, _ client.Object) []reconcile.Request {
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

func (r *nodeReconciler) deletingNodeOf(ctx context.Context, o client.Object) []reconcile.Request {
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
func (r *nodeReconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	node := &v1alpha1.Node{}
	if err := r.client.Get(ctx, key.NamespacedName, node); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case !node.DeletionTimestamp.IsZero():
		return r.finalize(ctx, node)
	case !controllerutil.ContainsFinalizer(node, v1alpha1.FinalizerNode):
		return ctrl.Result{}, r.setFinalizer(ctx, node, true) // the write is an event
	case r.revocationRequested(ctx, node):
		return ctrl.Result{}, r.revokeOnRequest(ctx, node) // the write is an event
	default:
		return r.updateStatus(ctx, node)
	}
}

// updateStatus updates the status within the write budget.
func (r *nodeReconciler) updateStatus(ctx context.Context, node *v1alpha1.Node) (ctrl.Result, error) {
	view := newNodeView(node, r.clock.Now(), r.staleAfter)
	record, awaitingProof := r.specs.evaluate(node)
	view.fillProvenSpec(node, record, r.clock.Now())
	if awaitingProof {
		view.requeueWithin(proofRetryDelay)
	}
	if !statusUpToDate(node.Status, view.status) {
		if wait := initialGrace(node, r.clock.Now()); wait > 0 && (record == nil || record.UnprovenKeysSHA256+record.UnprovenCapabilityPolicySHA256 == "") {
			return ctrl.Result{}, postpone(wait)
		}
		if wait := r.budget.take(); wait > 0 {
			return ctrl.Result{}, postpone(wait)
		}
		if err := applyNodeStatus(ctx, r.client, node, v1alpha1.FieldManagerController, view.status); err != nil {
			return ctrl.Result{}, err
		}
		ctrl.LoggerFrom(ctx).Info("node changed", "trust", view.status.Trust, "presence", view.status.Presence)
	}
	debugWait(ctx, "the status of the node is up to date", view.requeueAfter)
	return ctrl.Result{RequeueAfter: view.requeueAfter}, nil
}

// finalize removes the finalizer of a deleted Node once its session has ended and all its
// dispatches are finished. Gateways cut the session of a deleted Node; the dispatch controller then
// settles. The cache suffices to wait, but the last check before the removal reads live: a lagging
// cache may lack the newest dispatches.
func (r *nodeReconciler) finalize(ctx context.Context, node *v1alpha1.Node) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(node, v1alpha1.FinalizerNode) || dispatch.SessionOf(node).Live() {
		debugWait(ctx, "the deleted node has a live session or no finalizer", 0)
		return ctrl.Result{}, nil // an event of the Node follows
	}
	key := client.ObjectKeyFromObject(node)
	unfinished, err := unfinishedOf(ctx, r.client, key)
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(unfinished) > 0 {
		debugWait(ctx, "the deleted node has unfinished dispatches", 0)
		return ctrl.Result{}, nil // an event of a dispatch follows
	}
	hasOpen, err := hasUnfinished(ctx, r.live, key)
	if err != nil || hasOpen {
		debugWait(ctx, "the deleted node may have unfinished dispatches", cacheRetryDelay)
		return ctrl.Result{RequeueAfter: cacheRetryDelay}, err
	}
	r.specs.forget(node.UID)
	return ctrl.Result{}, r.setFinalizer(ctx, node, false)
}

func (r *nodeReconciler) setFinalizer(ctx context.Context, node *v1alpha1.Node, present bool) error {
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

// statusUpToDate reports whether a status has every field that the view sets, and none of the
// conditions that the view omits.
func statusUpToDate(status, view v1alpha1.NodeStatus) bool {
	if status.Trust != view.Trust || status.FingerprintShort != view.FingerprintShort || !equality.Semantic.DeepEqual(status.ProvenSpec, view.ProvenSpec) {
		return false
	}
	if view.Presence == "" && status.SessionEndedTime != nil {
		return false // the controller removes the end of an older session
	}
	if view.Presence != "" && (status.Presence != view.Presence || !equality.Semantic.DeepEqual(status.Since, view.Since) ||
		!equality.Semantic.DeepEqual(status.SessionEndedTime, view.SessionEndedTime)) {
		return false
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionCapabilityReviewRequired, v1alpha1.ConditionSpecUnproven, v1alpha1.ConditionConnected} {
		want := meta.FindStatusCondition(view.Conditions, kind)
		if kind == v1alpha1.ConditionConnected && want == nil {
			continue // the gateway owns it
		}
		if !equality.Semantic.DeepEqual(meta.FindStatusCondition(status.Conditions, kind), want) {
			return false
		}
	}
	return true
}
