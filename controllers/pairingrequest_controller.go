package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
)

const (
	// indexRequestNode indexes the PairingRequests by the node name that they request.
	indexRequestNode = "mooring.request.node"
	// gateRetryDelay is the interval at which a decision that waits for the proof of the policies is
	// retried.
	gateRetryDelay = 2 * time.Second
)

// pairingRequestReconciler checks a PairingRequest, carries out its decision and follows it until
// the first certificate.
type pairingRequestReconciler struct {
	client      client.Client
	live        client.Reader
	records     pairingRecords
	gate        Gate
	proofs      Proofs
	specs       *provenSpecs
	decisions   observedValues
	accounts    accountChecker
	trustDomain string
	clock       clock.PassiveClock
	events      events.EventRecorder
}

func setupPairingRequest(mgr ctrl.Manager, options Options) error {
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &v1alpha1.PairingRequest{}, indexRequestNode,
		func(o client.Object) []string {
			request, ok := o.(*v1alpha1.PairingRequest)
			if !ok {
				return nil
			}
			return []string{request.Spec.NodeName}
		})
	if err != nil {
		return fmt.Errorf("index pairing requests: %w", err)
	}
	r := &pairingRequestReconciler{
		client:      mgr.GetClient(),
		live:        mgr.GetAPIReader(),
		records:     pairingRecords{client: mgr.GetClient(), live: mgr.GetAPIReader(), namespace: options.PairingNamespace},
		gate:        options.Gate,
		proofs:      options.Proofs,
		specs:       options.specs,
		accounts:    newAccountChecker(mgr, options),
		trustDomain: options.TrustDomain,
		clock:       options.Clock,
		events:      mgr.GetEventRecorder("mooring-controller"),
	}
	backOff := newBackOff(r, newStalledRequestReporter(mgr, options.Clock))
	options.Proofs.OnEpoch(func(ctx context.Context, _ policy.Epoch, _ bool) error { return r.stampAllUndecided(ctx) })
	return ctrl.NewControllerManagedBy(mgr).
		Named("pairingrequest").
		For(&v1alpha1.PairingRequest{}).
		Watches(&v1alpha1.Node{}, handler.EnqueueRequestsFromMapFunc(r.requestsOfNode)).
		WithOptions(backOff.options(maxConcurrentReconciles)).
		Complete(backOff)
}

// requestsOfNode returns requests for the PairingRequests that wait for a change of a Node.
func (r *pairingRequestReconciler) requestsOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	var list v1alpha1.PairingRequestList
	err := r.client.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.MatchingFields{indexRequestNode: o.GetName()})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the pairing requests of a node", "namespace", o.GetNamespace(), "node", o.GetName())
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if !requestTerminal(list.Items[i].Status.Phase) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// requestTerminal reports whether a phase is final.
func requestTerminal(phase v1alpha1.PairingRequestPhase) bool {
	switch phase {
	case v1alpha1.PairingRequestDenied, v1alpha1.PairingRequestCompleted, v1alpha1.PairingRequestExpired, v1alpha1.PairingRequestFailed:
		return true
	default:
		return false
	}
}

// Reconcile moves one PairingRequest through its phases: checked, decided, certified, deleted.
func (r *pairingRequestReconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	request := &v1alpha1.PairingRequest{}
	if err := r.client.Get(ctx, key.NamespacedName, request); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if err := r.accounts.deleteTokens(ctx, request); err != nil {
		return ctrl.Result{}, err
	}
	switch {
	case !request.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil
	case requestTerminal(request.Status.Phase):
		r.decisions.forget(request.UID)
		return r.collectGarbage(ctx, request)
	case request.Status.Phase == v1alpha1.PairingRequestApproved:
		return r.awaitCertificate(ctx, request)
	case request.Status.Phase == v1alpha1.PairingRequestPending:
		result, err := r.decide(ctx, request)
		return retryUnproven(r.proofs, result, err)
	default:
		return r.markPending(ctx, request)
	}
}

// markPending marks a request as Pending once its claims are verified.
func (r *pairingRequestReconciler) markPending(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	_, refused, err := r.check(ctx, request)
	if err != nil && !errors.Is(err, errAwaitingProof) { // a person may compare the key meanwhile
		return ctrl.Result{}, err
	}
	if refused != nil {
		return r.finish(ctx, request, v1alpha1.PairingRequestFailed, refused)
	}
	before := request.DeepCopy()
	request.Status.Phase = v1alpha1.PairingRequestPending
	if epoch, _, ok := r.proofs.Current(); ok && request.Spec.Decision == nil {
		request.Status.PolicyEpoch = epoch.ID
	}
	return ctrl.Result{}, r.saveCondition(ctx, before, request, v1alpha1.ConditionApproved, metav1.ConditionUnknown, &conditionReason{v1alpha1.ReasonAwaitingDecision,
		fmt.Sprintf("compare %s with the screen of the machine, then approve or deny", request.Spec.VerificationCode)})
}

// collectGarbage deletes a request a day after it became terminal.
func (r *pairingRequestReconciler) collectGarbage(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	ended := endedAt(request.Status.Conditions, v1alpha1.ConditionCompleted, request.CreationTimestamp)
	if keep := ended.Add(retention).Sub(r.clock.Now()); keep > 0 {
		return ctrl.Result{RequeueAfter: keep}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, request, client.Preconditions{UID: &request.UID}))
}

// finish makes a request terminal with the given reason.
func (r *pairingRequestReconciler) finish(ctx context.Context, request *v1alpha1.PairingRequest, phase v1alpha1.PairingRequestPhase, reason *conditionReason) (ctrl.Result, error) {
	before, completed := request.DeepCopy(), metav1.ConditionFalse
	request.Status.Phase = phase
	switch {
	case phase == v1alpha1.PairingRequestCompleted:
		completed = metav1.ConditionTrue
		r.setRequestCondition(request, v1alpha1.ConditionIssued, metav1.ConditionTrue, &conditionReason{v1alpha1.ReasonCertificateIssued, reason.message})
	case before.Status.Phase != v1alpha1.PairingRequestApproved:
		r.setRequestCondition(request, v1alpha1.ConditionApproved, metav1.ConditionFalse, reason)
	}
	return ctrl.Result{}, r.saveCondition(ctx, before, request, v1alpha1.ConditionCompleted, completed, reason)
}

func (r *pairingRequestReconciler) setRequestCondition(request *v1alpha1.PairingRequest, kind string, status metav1.ConditionStatus, reason *conditionReason) {
	setCondition(&request.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason.reason, Message: reason.message, ObservedGeneration: request.Generation,
	}, r.clock.Now())
}

// saveCondition sets a condition and stores the status. If the status changed, it records an event.
func (r *pairingRequestReconciler) saveCondition(ctx context.Context, before, request *v1alpha1.PairingRequest, kind string, status metav1.ConditionStatus, reason *conditionReason) error {
	r.setRequestCondition(request, kind, status, reason)
	saved, err := saveStatus(ctx, r.client, before, request)
	if err != nil || !saved {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("request changed", "phase", request.Status.Phase, "reason", reason.reason, "node", request.Spec.NodeName)
	severity := corev1.EventTypeNormal
	if request.Status.Phase == v1alpha1.PairingRequestFailed {
		severity = corev1.EventTypeWarning
	}
	emitEvent(r.events, request, severity, reason.reason, reason.message)
	return nil
}
