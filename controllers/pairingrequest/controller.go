// Package pairingrequest checks pairing requests and carries out the decisions about them.
package pairingrequest

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/pairingcode"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/policy"
)

const (
	// indexRequestNode indexes the PairingRequests by the node name that they request.
	indexRequestNode = "mooring.request.node"
)

// reconciler checks a PairingRequest, carries out its decision and follows it until
// the first certificate.
type reconciler struct {
	client      client.Client
	live        client.Reader
	records     pairingcode.Records
	gate        proof.Gate
	proofs      proof.Proofs
	specs       *proof.Specs
	decisions   proof.ObservedValues
	accounts    accountChecker
	trustDomain string
	clock       clock.PassiveClock
	events      events.EventRecorder
}

// Options configures the reconciler.
type Options struct {
	// SystemNamespace holds the rules for ServiceAccounts.
	SystemNamespace string
	// PairingNamespace holds the password records and the tokens.
	PairingNamespace string
	// ServiceAccountAudience is the audience of the tokens of in-cluster agents; the default is
	// mooring.
	ServiceAccountAudience string
	// TrustDomain is the trust domain of the SPIFFE IDs of machines.
	TrustDomain string
	// Gate blocks approvals while the policies are not proven.
	Gate proof.Gate
	// Proofs reports which times the proofs of the policies cover.
	Proofs proof.Proofs
	// Specs holds which fields of Nodes are proven.
	Specs *proof.Specs
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds the reconciler of pairing requests to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
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
	r := &reconciler{
		client:      mgr.GetClient(),
		live:        mgr.GetAPIReader(),
		records:     pairingcode.NewRecords(mgr, options.PairingNamespace),
		gate:        options.Gate,
		proofs:      options.Proofs,
		specs:       options.Specs,
		accounts:    newAccountChecker(mgr, options),
		trustDomain: options.TrustDomain,
		clock:       options.Clock,
		events:      report.NewRecorder(mgr),
	}
	runner := backoff.New(r, report.NewStalledRequest(mgr, options.Clock))
	options.Proofs.OnEpoch(func(ctx context.Context, _ policy.Epoch, _ bool) error { return r.stampAllUndecided(ctx) })
	return ctrl.NewControllerManagedBy(mgr).
		Named("pairingrequest").
		For(&v1alpha1.PairingRequest{}).
		Watches(&v1alpha1.Node{}, handler.EnqueueRequestsFromMapFunc(r.requestsOfNode)).
		WithOptions(runner.Options(backoff.MaxConcurrentReconciles)).
		Complete(runner)
}

// requestsOfNode returns requests for the PairingRequests that wait for a change of a Node.
func (r *reconciler) requestsOfNode(ctx context.Context, o client.Object) []reconcile.Request {
	var list v1alpha1.PairingRequestList
	err := r.client.List(ctx, &list, client.InNamespace(o.GetNamespace()), client.MatchingFields{indexRequestNode: o.GetName()})
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "cannot list the pairing requests of a node", "namespace", o.GetNamespace(), "node", o.GetName())
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		if !pairingcode.RequestTerminal(list.Items[i].Status.Phase) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}

// Reconcile moves one PairingRequest through its phases: checked, decided, certified, deleted.
func (r *reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
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
	case pairingcode.RequestTerminal(request.Status.Phase):
		r.decisions.Forget(request.UID)
		return r.collectGarbage(ctx, request)
	case request.Status.Phase == v1alpha1.PairingRequestApproved:
		return r.awaitCertificate(ctx, request)
	case request.Status.Phase == v1alpha1.PairingRequestPending:
		result, err := r.decide(ctx, request)
		return proof.Retry(r.proofs, result, err)
	default:
		return r.markPending(ctx, request)
	}
}

// markPending marks a request as Pending once its claims are verified.
func (r *reconciler) markPending(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	_, refused, err := r.check(ctx, request)
	if err != nil && !errors.Is(err, proof.ErrAwaiting) { // a person may compare the key meanwhile
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
	return ctrl.Result{}, r.saveCondition(ctx, before, request, v1alpha1.ConditionApproved, metav1.ConditionUnknown, status.Reasonf(v1alpha1.ReasonAwaitingDecision,
		"compare %s with the screen of the machine, then approve or deny", request.Spec.VerificationCode))
}

// collectGarbage deletes a request a day after it became terminal.
func (r *reconciler) collectGarbage(ctx context.Context, request *v1alpha1.PairingRequest) (ctrl.Result, error) {
	ended := status.EndedAt(request.Status.Conditions, v1alpha1.ConditionCompleted, request.CreationTimestamp)
	if keep := ended.Add(pairingcode.Retention).Sub(r.clock.Now()); keep > 0 {
		return ctrl.Result{RequeueAfter: keep}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.client.Delete(ctx, request, client.Preconditions{UID: &request.UID}))
}

// finish makes a request terminal with the given reason.
func (r *reconciler) finish(ctx context.Context, request *v1alpha1.PairingRequest, phase v1alpha1.PairingRequestPhase, reason *status.Reason) (ctrl.Result, error) {
	before, completed := request.DeepCopy(), metav1.ConditionFalse
	request.Status.Phase = phase
	switch {
	case phase == v1alpha1.PairingRequestCompleted:
		completed = metav1.ConditionTrue
		r.setRequestCondition(request, v1alpha1.ConditionIssued, metav1.ConditionTrue, status.NewReason(v1alpha1.ReasonCertificateIssued, reason.Message))
	case before.Status.Phase != v1alpha1.PairingRequestApproved:
		r.setRequestCondition(request, v1alpha1.ConditionApproved, metav1.ConditionFalse, reason)
	}
	return ctrl.Result{}, r.saveCondition(ctx, before, request, v1alpha1.ConditionCompleted, completed, reason)
}

func (r *reconciler) setRequestCondition(request *v1alpha1.PairingRequest, kind string, value metav1.ConditionStatus, reason *status.Reason) {
	status.SetCondition(&request.Status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason.Reason, Message: reason.Message, ObservedGeneration: request.Generation,
	}, r.clock.Now())
}

// saveCondition sets a condition and stores the status. If the status changed, it records an event.
func (r *reconciler) saveCondition(ctx context.Context, before, request *v1alpha1.PairingRequest, kind string, value metav1.ConditionStatus, reason *status.Reason) error {
	r.setRequestCondition(request, kind, value, reason)
	saved, err := status.Save(ctx, r.client, before, request)
	if err != nil || !saved {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("request changed", "phase", request.Status.Phase, "reason", reason.Reason, "node", request.Spec.NodeName)
	severity := corev1.EventTypeNormal
	if request.Status.Phase == v1alpha1.PairingRequestFailed {
		severity = corev1.EventTypeWarning
	}
	report.Emit(r.events, request, severity, reason.Reason, "Reconcile", reason.Message)
	return nil
}
