// Package gateway ends the sessions of gateways that died.
package gateway

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
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
	"github.com/mooring-dev/mooring/controllers/nodestatus"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// reconciler ends the sessions of gateways that died. Its key is the name of a gateway
// Lease, which need not exist: GatewayLeasePrefix followed by status.gateway of its Nodes.
type reconciler struct {
	client       client.Client
	live         client.Reader
	clock        clock.PassiveClock
	events       events.EventRecorder
	budget       nodestatus.WriteBudget
	grace        time.Duration
	staleAfter   time.Duration
	missingSince firstSeen
	// failureDelays holds the delays of Nodes whose status was refused: the other Nodes do not wait
	// for them.
	failureDelays backoff.Delays
	// reporter reports why a session could not be ended.
	reporter report.FailureEvents
}

// Options configures the reconciler.
type Options struct {
	// SystemNamespace holds the Leases of the gateways.
	SystemNamespace string
	// OrphanGrace is the delay between the expiry of a gateway's Lease and the end of its sessions.
	OrphanGrace time.Duration
	// StaleAfter is how long a Node without a session is Stale before it is Offline.
	StaleAfter time.Duration
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds the reconciler of gateways to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
	if err := index.AddLiveNodes(mgr); err != nil {
		return err
	}
	r := &reconciler{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), clock: options.Clock, events: report.NewRecorder(mgr),
		budget: nodestatus.NewWriteBudget(), grace: options.OrphanGrace, staleAfter: options.StaleAfter, failureDelays: backoff.NewDelays(),
		reporter: report.NewFailureEvents(mgr, &v1alpha1.Node{}),
	}
	runner := backoff.New(r, report.NewFailureEvents(mgr, &coordinationv1.Lease{}))
	return ctrl.NewControllerManagedBy(mgr).
		Named("gateway").
		For(&coordinationv1.Lease{}, builder.WithPredicates(predicate.NewPredicateFuncs(isGatewayLease))).
		Watches(&v1alpha1.Node{}, handler.EnqueueRequestsFromMapFunc(leaseOfNode(options.SystemNamespace)), builder.WithPredicates(sessionChanged)).
		WithOptions(runner.Options(1)).
		Complete(runner)
}

func isGatewayLease(o client.Object) bool {
	return o.GetLabels()[v1alpha1.LabelComponent] == v1alpha1.LabelComponentGateway &&
		strings.HasPrefix(o.GetName(), v1alpha1.GatewayLeasePrefix)
}

// sessionChanged passes Nodes whose session began, moved or ended.
var sessionChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.Node)
	after, ok2 := e.ObjectNew.(*v1alpha1.Node)
	return ok && ok2 && (before.Status.Gateway != after.Status.Gateway ||
		dispatch.SessionOf(before).Live() != dispatch.SessionOf(after).Live())
}}

// leaseOfNode maps a Node with a live session to the Lease of its gateway, so that a Lease that
// never existed is found too.
func leaseOfNode(namespace string) handler.MapFunc {
	return func(_ context.Context, o client.Object) []reconcile.Request {
		node, ok := o.(*v1alpha1.Node)
		if !ok || index.LiveGateway(node) == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{
			Namespace: namespace, Name: v1alpha1.GatewayLeasePrefix + index.LiveGateway(node)}}}
	}
}

// Reconcile waits until a gateway is dead for longer than the grace period, then ends its sessions.
func (r *reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	now := r.clock.Now()
	expiry, err := r.leaseExpiry(ctx, r.client, key.NamespacedName, now)
	if err != nil {
		return ctrl.Result{}, err
	}
	if due := expiry.Add(r.grace); now.Before(due) {
		step.DebugWait(ctx, "the gateway may be alive", due.Sub(now))
		return ctrl.Result{RequeueAfter: due.Sub(now)}, nil
	}
	// The cache may lag: read the Lease live before the gateway counts as dead.
	if expiry, err = r.leaseExpiry(ctx, r.live, key.NamespacedName, now); err != nil {
		return ctrl.Result{}, err
	}
	if due := expiry.Add(r.grace); now.Before(due) {
		step.DebugWait(ctx, "the gateway may be alive", due.Sub(now))
		return ctrl.Result{RequeueAfter: due.Sub(now)}, nil
	}
	return r.endSessionsOfDeadGateway(ctx, key.NamespacedName, expiry)
}

// leaseExpiry returns the time at which the Lease of a gateway expires or expired. A missing Lease
// counts as expired when its absence was first seen.
func (r *reconciler) leaseExpiry(ctx context.Context, reader client.Reader, key types.NamespacedName, now time.Time) (time.Time, error) {
	lease := &coordinationv1.Lease{}
	err := reader.Get(ctx, key, lease)
	switch {
	case apierrors.IsNotFound(err):
		return r.missingSince.since(key.Name, now), nil
	case err != nil:
		return time.Time{}, fmt.Errorf("read lease %q: %w", key.Name, err)
	}
	r.missingSince.forget(key.Name)
	if lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil {
		return lease.CreationTimestamp.Time, nil
	}
	return lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second), nil
}

// endSessionsOfDeadGateway ends the sessions of a dead gateway within the write budget, and then
// deletes its Lease.
func (r *reconciler) endSessionsOfDeadGateway(ctx context.Context, key types.NamespacedName, expiry time.Time) (ctrl.Result, error) {
	nodes := &v1alpha1.NodeList{}
	gateway := strings.TrimPrefix(key.Name, v1alpha1.GatewayLeasePrefix)
	if err := r.client.List(ctx, nodes, client.MatchingFields{index.LiveGatewayField: gateway}); err != nil {
		return ctrl.Result{}, fmt.Errorf("list nodes of gateway %q: %w", gateway, err)
	}
	if len(nodes.Items) > 0 {
		return ctrl.Result{RequeueAfter: r.endSessions(ctx, nodes.Items, expiry)}, nil
	}
	r.missingSince.forget(key.Name)
	return ctrl.Result{}, r.deleteLease(ctx, key)
}

// endSessions ends the sessions of Nodes and returns when to try again. A Node whose status was
// refused has its own delay.
func (r *reconciler) endSessions(ctx context.Context, nodes []v1alpha1.Node, ended time.Time) time.Duration {
	retryAfter := time.Duration(0)
	for i := range nodes {
		key := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&nodes[i])}
		wait := r.failureDelays.When(key)
		if wait <= 0 {
			if wait = r.budget.Take(); wait > 0 {
				return wait
			}
			wait = backoff.CacheRetryDelay // by then the cache has caught up
			if err := r.endSession(ctx, &nodes[i], ended); client.IgnoreNotFound(err) != nil {
				if _, mustReport := r.failureDelays.AddFailure(key, err); mustReport {
					ctrl.LoggerFrom(ctx).Error(err, "cannot end the session of a node", "namespace", key.Namespace, "node", key.Name)
					_ = r.reporter.Report(ctx, key.NamespacedName, err) // never fails
				}
				wait = r.failureDelays.When(key)
			} else {
				r.failureDelays.ClearFailures(key)
			}
		}
		if retryAfter == 0 || wait < retryAfter {
			retryAfter = max(wait, backoff.ConflictDelay)
		}
	}
	return retryAfter
}

// endSession records in the status of a Node that its session ended with its gateway.
func (r *reconciler) endSession(ctx context.Context, node *v1alpha1.Node, ended time.Time) error {
	at := metav1.NewTime(ceilSecond(ended))
	if at.Before(node.Status.SessionStartedTime) {
		at = *node.Status.SessionStartedTime
	}
	now := r.clock.Now()
	updated := node.DeepCopy()
	updated.Status.SessionEndedTime = &at
	status.SetCondition(&updated.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionConnected, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonGatewayLost,
		Message: fmt.Sprintf("gateway %q stopped renewing its Lease", node.Status.Gateway),
	}, now)
	view := nodestatus.NewView(updated, now, r.staleAfter)
	if err := status.ApplyToNode(ctx, r.client, node, v1alpha1.FieldManagerController, view.Status); err != nil {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("session ended with its gateway", "namespace", node.Namespace, "node", node.Name, "gateway", node.Status.Gateway)
	report.Emit(r.events, node, corev1.EventTypeWarning, v1alpha1.ReasonGatewayLost, "EndSession",
		fmt.Sprintf("gateway %q stopped renewing its Lease; the machine reconnects to another", node.Status.Gateway))
	return nil
}

// deleteLease deletes a Lease that is no longer needed, unless it was renewed in the meantime.
func (r *reconciler) deleteLease(ctx context.Context, key types.NamespacedName) error {
	lease := &coordinationv1.Lease{}
	if err := r.client.Get(ctx, key, lease); err != nil {
		return client.IgnoreNotFound(err)
	}
	err := r.client.Delete(ctx, lease, client.Preconditions{UID: &lease.UID, ResourceVersion: &lease.ResourceVersion})
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete lease %q: %w", key.Name, err)
	}
	return nil
}

// ceilSecond rounds a time up to whole seconds. The later the recorded end of a session, the fewer
// dispatches count as created after it.
func ceilSecond(t time.Time) time.Time {
	if whole := t.Truncate(time.Second); whole.Equal(t) {
		return whole
	}
	return t.Truncate(time.Second).Add(time.Second)
}

// firstSeen stores when a missing Lease was first noticed, while the process leads. Losing it only
// restarts a grace period.
type firstSeen struct{ at sync.Map }

func (f *firstSeen) since(name string, now time.Time) time.Time {
	at, _ := f.at.LoadOrStore(name, now)
	return at.(time.Time)
}

func (f *firstSeen) forget(name string) { f.at.Delete(name) }
