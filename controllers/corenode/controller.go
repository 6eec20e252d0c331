// Package corenode ends the Nodes of in-cluster agents with their core Node.
package corenode

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/index"
	"github.com/mooring-dev/mooring/controllers/report"
)

// coreNodeReadTimeout bounds the time that reading core Nodes may take, including their first list.
const coreNodeReadTimeout = 30 * time.Second

// reconciler deletes or revokes the Nodes of in-cluster agents whose core Node was deleted
// or recreated: such a Node no longer stands for a machine. The reconcile key is the name of a Node
// of Mooring.
type reconciler struct {
	client client.Client
	live   client.Reader
	events events.EventRecorder
	// startWatch starts the watch of core Nodes, once. A cluster without in-cluster agents never
	// starts it.
	startWatch func() error
}

// Setup adds the reconciler of core Nodes to a manager. stalled is shared with the other reconcilers
// of Nodes.
func Setup(mgr ctrl.Manager, clock clock.PassiveClock, stalled *report.StalledMessages) error {
	if err := index.AddCoreNodes(mgr); err != nil {
		return err
	}
	r := &reconciler{client: mgr.GetClient(), live: mgr.GetAPIReader(), events: report.NewRecorder(mgr)}
	runner := backoff.New(r, report.NewStalledNode(mgr, clock, "corenode", stalled))
	c, err := ctrl.NewControllerManagedBy(mgr).
		Named("corenode").
		For(&v1alpha1.Node{}, builder.WithPredicates(inClusterNode)).
		WithOptions(runner.Options(1)).
		Build(runner)
	if err != nil {
		return err
	}
	r.startWatch = sync.OnceValue(func() error {
		return c.Watch(source.Kind[client.Object](mgr.GetCache(), coreNodeMetadata(""), handler.EnqueueRequestsFromMapFunc(r.nodesOf), coreNodeReplaced))
	})
	return nil
}

// coreNodeMetadata returns empty metadata of a core Node to read into. No other field is used.
func coreNodeMetadata(name string) *metav1.PartialObjectMetadata {
	core := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name}}
	core.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	return core
}

// StripToIdentity strips a core Node in the cache down to its name and UID.
func StripToIdentity(object any) (any, error) {
	if core, ok := object.(*metav1.PartialObjectMetadata); ok {
		core.Labels, core.Annotations, core.ManagedFields, core.OwnerReferences = nil, nil, nil, nil
	}
	return object, nil
}

// inClusterNode passes Nodes of in-cluster agents when they are created and when their spec
// changes.
var inClusterNode = predicate.And(predicate.GenerationChangedPredicate{}, predicate.NewPredicateFuncs(func(o client.Object) bool {
	node, ok := o.(*v1alpha1.Node)
	return ok && node.Spec.ServiceAccount != nil
}))

// coreNodeReplaced passes core Nodes that were created, deleted or recreated, and drops their
// heartbeats. Between two lists a core Node may be deleted and created again, which arrives as an
// update.
var coreNodeReplaced = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
}}

func (r *reconciler) nodesOf(ctx context.Context, core client.Object) []reconcile.Request {
	nodes, err := index.NodesOnCoreNode(ctx, r.client, core.GetName())
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "find the nodes of a core node")
		return nil
	}
	var requests []reconcile.Request
	for i := range nodes {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&nodes[i])})
	}
	return requests
}

// Reconcile checks whether the core Node of an agent exists, first in the cache and then live. A
// lagging cache or a stale answer must not cost a machine its identity.
func (r *reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	node := &v1alpha1.Node{}
	if err := r.client.Get(ctx, key.NamespacedName, node); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	account := node.Spec.ServiceAccount
	if account == nil || !node.DeletionTimestamp.IsZero() || orphanActionFor(node.Spec.DesiredState) == orphanKeep {
		return ctrl.Result{}, nil
	}
	if err := r.startWatch(); err != nil {
		return ctrl.Result{}, fmt.Errorf("watch core nodes: %w", err)
	}
	bounded, cancel := context.WithTimeout(ctx, coreNodeReadTimeout)
	defer cancel()
	for _, reader := range []client.Reader{r.client, r.live} {
		if gone, err := coreNodeGone(bounded, reader, account); err != nil || !gone {
			return ctrl.Result{}, err // a deletion arrives as an event
		}
	}
	return ctrl.Result{}, r.cleanUpOrphan(ctx, node)
}

// coreNodeGone reports whether the core Node of an account's token is missing, or was replaced by
// another one with the same name.
func coreNodeGone(ctx context.Context, reader client.Reader, account *v1alpha1.ServiceAccountIdentity) (bool, error) {
	core := coreNodeMetadata(account.Node)
	err := reader.Get(ctx, client.ObjectKeyFromObject(core), core)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("read core node %q, which the controller must be allowed to get, list and watch: %w", account.Node, err)
	default:
		return string(core.UID) != account.NodeUID, nil
	}
}
