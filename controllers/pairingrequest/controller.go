// Package pairingrequest checks pairing requests and carries out the decisions about them.
package pairingrequest

import (
	"context"
	"errors"
	"fmt"

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
	"github.com/mooring-dev/mooring/controllers/step"
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
	s := newScope(request)
	outcome := step.Run(ctx, s,
		r.deleteTokens,
		r.collectGarbage,
		r.awaitCertificate,
		r.markPending,
		r.awaitDecision,
		r.requireProof,
		r.deny,
		r.approve,
	)
	if refusal := outcome.Refusal(); refusal != nil {
		r.finish(s, v1alpha1.PairingRequestFailed, refusal)
	}
	if outcome.Err() == nil {
		if err := r.writeStatus(ctx, s); err != nil {
			outcome = step.Fail(err)
		}
	}
	result, err := outcome.Result(ctx)
	return proof.Retry(r.proofs, result, err)
}

// deleteTokens deletes tokens that are no longer needed. It ends the reconcile of a request that is
// being deleted.
func (r *reconciler) deleteTokens(ctx context.Context, s *scope) step.Outcome {
	if err := r.accounts.deleteTokens(ctx, s.request); err != nil {
		return step.Fail(err)
	}
	if !s.request.DeletionTimestamp.IsZero() {
		return step.Done()
	}
	return step.Continue()
}

// collectGarbage deletes a request a day after it became terminal.
func (r *reconciler) collectGarbage(ctx context.Context, s *scope) step.Outcome {
	if !pairingcode.RequestTerminal(s.request.Status.Phase) {
		return step.Continue()
	}
	r.decisions.Forget(s.request.UID)
	ended := status.EndedAt(s.request.Status.Conditions, v1alpha1.ConditionCompleted, s.request.CreationTimestamp)
	if keep := ended.Add(pairingcode.Retention).Sub(r.clock.Now()); keep > 0 {
		return step.Wait(keep, "the ended request is kept for a while")
	}
	return step.End(client.IgnoreNotFound(r.client.Delete(ctx, s.request, client.Preconditions{UID: &s.request.UID})))
}

// markPending marks a new request as Pending once its claims are verified.
func (r *reconciler) markPending(ctx context.Context, s *scope) step.Outcome {
	if s.request.Status.Phase == v1alpha1.PairingRequestPending {
		return step.Continue()
	}
	// While a proof is awaited, a person may already compare the key.
	if outcome := r.check(ctx, s); !outcome.Continues() && !errors.Is(outcome.Err(), proof.ErrAwaiting) {
		return outcome
	}
	s.request.Status.Phase = v1alpha1.PairingRequestPending
	if epoch, _, ok := r.proofs.Current(); ok && s.request.Spec.Decision == nil {
		s.request.Status.PolicyEpoch = epoch.ID
	}
	r.announce(s, v1alpha1.ConditionApproved, metav1.ConditionUnknown, "CheckRequest", status.Reasonf(v1alpha1.ReasonAwaitingDecision,
		"compare %s with the screen of the machine, then approve or deny", s.request.Spec.VerificationCode))
	return step.Done()
}
