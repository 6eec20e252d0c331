// Package certificate issues the certificates of Nodes.
package certificate

import (
	"context"
	"errors"
	"fmt"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/issuer"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/controllers/trust"
	"github.com/mooring-dev/mooring/internal/identity"
)

const (
	// unprovenKeysInterval is the interval at which unproven keys are checked again; a change of
	// keys is an event.
	unprovenKeysInterval = time.Minute
	// componentCertificate is the component label of CertificateRequests for Nodes.
	componentCertificate = "node-certificate"
)

// reconciler answers the certificate requests in the status of Nodes. Initial, renewed,
// rotated and recovered certificates all take this path.
type reconciler struct {
	client      client.Client
	live        client.Reader
	issuer      issuer.Issuer
	gate        proof.Gate
	deviceCA    func(context.Context) (identity.Bundle, error)
	trustDomain string
	duration    time.Duration
	clock       clock.PassiveClock
	events      events.EventRecorder
	specs       *proof.Specs
	proofs      proof.Proofs
}

// Options configures the reconciler.
type Options struct {
	// SystemNamespace holds the issuer and ConfigMap mooring-trust.
	SystemNamespace string
	// TrustDomain is the trust domain of the SPIFFE IDs of machines.
	TrustDomain string
	// Issuer signs the certificates: NAME of an Issuer in SystemNamespace, or ClusterIssuer/NAME.
	Issuer string
	// Duration is the lifetime of the certificates.
	Duration time.Duration
	// Gate blocks certificates while the policies are not proven.
	Gate proof.Gate
	// Proofs reports which times the proofs of the policies cover.
	Proofs proof.Proofs
	// Specs holds which keys of Nodes are proven.
	Specs *proof.Specs
	// Stalled is shared with the other reconcilers of Nodes.
	Stalled *report.StalledMessages
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds the reconciler of certificate requests to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
	reference, err := issuer.Parse(options.Issuer)
	if err != nil {
		return fmt.Errorf("--device-issuer: %w", err)
	}
	r := &reconciler{
		client: mgr.GetClient(),
		live:   mgr.GetAPIReader(),
		issuer: issuer.NewCertManager(mgr.GetClient(), options.SystemNamespace, reference),
		gate:   options.Gate,
		deviceCA: func(ctx context.Context) (identity.Bundle, error) {
			return trust.ReadBundle(ctx, mgr.GetClient(), options.SystemNamespace, v1alpha1.TrustDeviceCAKey)
		},
		trustDomain: options.TrustDomain,
		duration:    options.Duration,
		clock:       options.Clock,
		events:      report.NewRecorder(mgr),
		specs:       options.Specs,
		proofs:      options.Proofs,
	}
	runner := backoff.New(r, report.NewStalledNode(mgr, options.Clock, "certificate", options.Stalled))
	return ctrl.NewControllerManagedBy(mgr).
		Named("certificate").
		For(&v1alpha1.Node{}).
		Watches(&certmanagerv1.CertificateRequest{}, handler.EnqueueRequestsFromMapFunc(nodeOfCertificateRequest)).
		WithOptions(runner.Options(backoff.MaxConcurrentReconciles)).
		Complete(runner)
}

func nodeOfCertificateRequest(_ context.Context, o client.Object) []reconcile.Request {
	labels := o.GetLabels()
	if labels[v1alpha1.LabelComponent] != componentCertificate {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{
		Namespace: labels[v1alpha1.LabelNamespace], Name: labels[v1alpha1.LabelNode],
	}}}
}

// orderLabels returns the labels that select the CertificateRequests of a Node.
func orderLabels(node types.NamespacedName) map[string]string {
	return map[string]string{
		v1alpha1.LabelComponent: componentCertificate, v1alpha1.LabelNamespace: node.Namespace, v1alpha1.LabelNode: node.Name,
	}
}

// Reconcile answers the certificate request of one Node, if there is one, and keeps the condition
// CertificateValid up to date.
func (r *reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	node := &v1alpha1.Node{}
	err := r.client.Get(ctx, key.NamespacedName, node)
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read node %s: %w", key, err)
	}
	switch {
	case err != nil || !node.DeletionTimestamp.IsZero():
		return ctrl.Result{}, r.issuer.DeleteOrders(ctx, orderLabels(key.NamespacedName), "")
	case nextKeyUsed(node):
		return proof.Retry(r.proofs, ctrl.Result{}, r.movePin(ctx, node))
	case pendingCSR(node) == nil:
		if err := r.issuer.DeleteOrders(ctx, orderLabels(key.NamespacedName), ""); err != nil {
			return ctrl.Result{}, err
		}
		return r.updateStatus(ctx, node, nil, lastRefusal(node))
	default:
		result, err := r.issueCertificate(ctx, node)
		return proof.Retry(r.proofs, result, err)
	}
}

// lastRefusal returns the reason for which the last request was refused, or nil.
func lastRefusal(node *v1alpha1.Node) *status.Reason {
	if node.Status.Issued == nil || node.Status.Issued.Error == "" {
		return nil
	}
	return status.NewReason(v1alpha1.ReasonCertificateRefused, node.Status.Issued.Error)
}

// issueCertificate checks the request, lets the issuer sign it, checks the certificate and
// publishes it.
func (r *reconciler) issueCertificate(ctx context.Context, cached *v1alpha1.Node) (ctrl.Result, error) {
	if err := r.issuer.CheckPending(ctx, r.orderFor(cached)); err != nil {
		return r.handleSignError(ctx, cached, err) // most events of an order change nothing
	}
	// The live read prevents a second answer when the cache lags behind the first one.
	node := &v1alpha1.Node{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(cached), node); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if node.UID != cached.UID || !node.DeletionTimestamp.IsZero() || pendingCSR(node) == nil {
		return ctrl.Result{}, nil // an event follows when the cache catches up
	}
	if gateErr := r.gate.Check(); gateErr != nil {
		return r.reportPending(ctx, node, status.Reasonf(v1alpha1.ErrorPolicyUnproven, "no certificate is issued now: %s", proof.GateReason(gateErr)), proof.GateRetryDelay)
	}
	if proven, err := r.specs.KeysProven(node); err != nil {
		return ctrl.Result{}, err
	} else if !proven {
		return r.reportPending(ctx, node, status.Reasonf(v1alpha1.ErrorPolicyUnproven, "no certificate is issued for keys that are not proven: see condition %s", v1alpha1.ConditionSpecUnproven), unprovenKeysInterval)
	}
	id := identity.ID{TrustDomain: r.trustDomain, Namespace: node.Namespace, Node: node.Name}
	key, err := validateCSR(node, id, r.clock.Now())
	if err != nil {
		return r.publishRefusal(ctx, node, err)
	}
	roots, err := r.deviceCA(ctx)
	if errors.Is(err, trust.ErrPending) {
		return r.reportPending(ctx, node, status.NewReason(v1alpha1.ReasonIssuerNotReady, err.Error()), proof.GateRetryDelay)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	if stored, err := r.storeNextKey(ctx, node, key); err != nil || !stored {
		return ctrl.Result{}, err
	}
	signed, err := r.issuer.Sign(ctx, r.orderFor(node))
	if err != nil {
		return r.handleSignError(ctx, node, err)
	}
	return r.publishCertificate(ctx, node, signed, id, key, roots)
}

// orderFor returns the certificate order of a Node, with the fixed usages and duration of device
// certificates.
func (r *reconciler) orderFor(node *v1alpha1.Node) issuer.Order {
	request := node.Status.CertificateRequest.Request
	return issuer.Order{
		Name:     node.Name + "-" + identity.FingerprintCSR(request)[:20],
		Labels:   orderLabels(client.ObjectKeyFromObject(node)),
		Request:  request,
		Usages:   []certmanagerv1.KeyUsage{certmanagerv1.UsageDigitalSignature, certmanagerv1.UsageClientAuth},
		Duration: r.duration,
	}
}

// publishCertificate checks the signed certificate, publishes it in the status and deletes the
// order.
func (r *reconciler) publishCertificate(ctx context.Context, node *v1alpha1.Node, signed issuer.Signed, id identity.ID, key string, roots identity.Bundle) (ctrl.Result, error) {
	chain, err := identity.ParseChainPEM(signed.Chain)
	if err == nil {
		err = identity.ValidateIssued(chain, id, key, roots.Pool(), r.clock.Now())
	}
	if refused := (*identity.CertificateError)(nil); errors.As(err, &refused) && refused.Reason == identity.ReasonUntrusted {
		return r.publishRefusal(ctx, node, errCAReplaced)
	}
	if err != nil {
		return r.publishRefusal(ctx, node, fmt.Errorf("the issuer did not sign the certificate that was requested: %w", err))
	}
	answer, err := statusWithChain(node, chain)
	if err != nil {
		return r.publishRefusal(ctx, node, err)
	}
	result, err := r.updateStatus(ctx, node, &answer, nil)
	if err != nil {
		return result, err
	}
	return result, r.issuer.DeleteOrders(ctx, orderLabels(client.ObjectKeyFromObject(node)), "")
}

// errCAReplaced refuses a certificate that was not signed by a trusted device CA.
var errCAReplaced = errors.New("the issuer signs with a CA that ConfigMap " + v1alpha1.TrustConfigMap + " does not hold: the Secret of the device CA was deleted or replaced. " +
	"Machines that have a certificate keep running until it ends; no new one is issued. Restore the Secret, or follow \"A CA that was lost\" in docs/how-to/rotate-cas.md")

// publishRefusal publishes that this request gets no certificate. The machine may send a new
// request.
func (r *reconciler) publishRefusal(ctx context.Context, node *v1alpha1.Node, cause error) (ctrl.Result, error) {
	answer := statusWithError(node, cause)
	result, err := r.updateStatus(ctx, node, &answer, status.NewReason(v1alpha1.ReasonCertificateRefused, answer.Issued.Error))
	if err != nil {
		return result, err
	}
	return result, r.issuer.DeleteOrders(ctx, orderLabels(client.ObjectKeyFromObject(node)), "")
}

// handleSignError handles the error of an issuer that did not sign.
func (r *reconciler) handleSignError(ctx context.Context, node *v1alpha1.Node, err error) (ctrl.Result, error) {
	var refused *issuer.RefusedError
	if errors.As(err, &refused) {
		return r.publishRefusal(ctx, node, err)
	}
	var pending *issuer.PendingError
	if !errors.As(err, &pending) {
		if apierrors.IsConflict(err) {
			return ctrl.Result{}, err
		}
		// The condition shows the error, and the queue retries with increasing delays.
		_, statusErr := r.updateStatus(ctx, node, nil, status.NewReason(v1alpha1.ReasonIssuerNotReady, err.Error()))
		return ctrl.Result{}, errors.Join(err, statusErr)
	}
	// Orders for earlier requests of this machine are no longer needed.
	if err := r.issuer.DeleteOrders(ctx, orderLabels(client.ObjectKeyFromObject(node)), r.orderFor(node).Name); err != nil {
		return ctrl.Result{}, err
	}
	if pending.Since.IsZero() {
		step.DebugWait(ctx, "the order for the certificate was replaced", backoff.ConflictDelay)
		return ctrl.Result{RequeueAfter: backoff.ConflictDelay}, nil
	}
	if waited := r.clock.Since(pending.Since); waited < issuer.GracePeriod {
		step.DebugWait(ctx, "the issuer has not answered", issuer.GracePeriod-waited)
		return ctrl.Result{RequeueAfter: issuer.GracePeriod - waited}, nil // an answer arrives earlier as an event
	}
	return r.reportPending(ctx, node, status.Reasonf(v1alpha1.ReasonIssuerNotReady, "cert-manager has not answered for over %d s, since %s: is it running, and is its Issuer ready? (%s)",
		int(issuer.GracePeriod.Seconds()), formatTime(pending.Since), pending.Error()), issuer.GracePeriod)
}

// reportPending writes to the status why there is no certificate yet, and requeues the Node.
func (r *reconciler) reportPending(ctx context.Context, node *v1alpha1.Node, reason *status.Reason, requeueAfter time.Duration) (ctrl.Result, error) {
	_, err := r.updateStatus(ctx, node, nil, reason)
	return ctrl.Result{RequeueAfter: requeueAfter}, err
}
