// Package pairingcode opens and ends pairing codes.
package pairingcode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/controllers/trust"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// reconciler creates the Secrets of a PairingCode, reports when the code is used,
// expired or burnt, and cleans up.
type reconciler struct {
	client  client.Client
	live    client.Reader
	records Records
	secrets codeSecrets
	proofs  proof.Proofs
	clock   clock.PassiveClock
	events  events.EventRecorder
	// lastFailedWrites stores the writes that the next attempts begin with.
	lastFailedWrites failedWrites
}

// Options configures the reconciler.
type Options struct {
	// SystemNamespace holds ConfigMap mooring-trust.
	SystemNamespace string
	// PairingNamespace holds the password records.
	PairingNamespace string
	// AdvertiseEndpoint is the HOST:PORT that users are shown; optional.
	AdvertiseEndpoint string
	// Proofs reports which times the proofs of the policies cover.
	Proofs proof.Proofs
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds the reconciler of pairing codes to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
	if endpoint := options.AdvertiseEndpoint; endpoint != "" {
		if err := pairing.CheckEndpoint(endpoint); err != nil {
			return fmt.Errorf("--advertise-pairing-endpoint: %w", err)
		}
	}
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Secret{}, indexRecordCode, recordCodeKey)
	if err != nil {
		return fmt.Errorf("index pairing records: %w", err)
	}
	records := NewRecords(mgr, options.PairingNamespace)
	r := &reconciler{
		client:  mgr.GetClient(),
		live:    mgr.GetAPIReader(),
		records: records,
		secrets: codeSecrets{
			client: mgr.GetClient(), records: records, rand: rand.Reader, endpoint: options.AdvertiseEndpoint,
			serverCA: func(ctx context.Context) (identity.Bundle, error) {
				return trust.ReadBundle(ctx, mgr.GetClient(), options.SystemNamespace, v1alpha1.TrustServerCAKey)
			},
		},
		proofs: options.Proofs,
		clock:  options.Clock,
		events: report.NewRecorder(mgr),
	}
	runner := backoff.New(r, report.NewStalledCode(mgr, options.Clock))
	return ctrl.NewControllerManagedBy(mgr).
		Named("pairingcode").
		For(&v1alpha1.PairingCode{}).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(codeOfRecord)).
		Watches(&v1alpha1.PairingRequest{}, handler.EnqueueRequestsFromMapFunc(codeOfRequest)).
		Watches(&coordinationv1.Lease{}, handler.EnqueueRequestsFromMapFunc(r.openCodes), builder.WithPredicates(proof.CoverageChanged)).
		WithOptions(runner.Options(backoff.MaxConcurrentReconciles)).
		Complete(runner)
}

func codeOfRecord(_ context.Context, o client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, code := range recordCodeKey(o) {
		if namespace, name, ok := strings.Cut(code, "/"); ok {
			requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
		}
	}
	return requests
}

func codeOfRequest(_ context.Context, o client.Object) []reconcile.Request {
	request, ok := o.(*v1alpha1.PairingRequest)
	if !ok || request.Spec.CodeName == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: request.Namespace, Name: request.Spec.CodeName}}}
}

// Reconcile moves one PairingCode through its phases: new, active, terminal, deleted.
func (r *reconciler) Reconcile(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
	code := &v1alpha1.PairingCode{}
	if err := r.client.Get(ctx, key.NamespacedName, code); err != nil {
		if client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, fmt.Errorf("read code %s: %w", key, err)
		}
		return ctrl.Result{}, r.records.removeAll(ctx, key.NamespacedName, nil)
	}
	switch {
	case !code.DeletionTimestamp.IsZero():
		return ctrl.Result{}, r.finalize(ctx, code)
	case !controllerutil.ContainsFinalizer(code, v1alpha1.FinalizerPairingCode):
		// The finalizer precedes the record, so that no record outlives its code. The write is an
		// event.
		return ctrl.Result{}, r.setFinalizer(ctx, code, true)
	case code.Status.Phase == "" || code.Status.Phase == v1alpha1.PairingCodeActive:
		if refused, _ := proof.CheckCode(r.proofs, code); refused != nil {
			return r.expireUnproven(ctx, code, refused)
		}
	}
	switch {
	case code.Status.Phase == "":
		return r.createSecrets(ctx, code)
	case code.Status.Phase == v1alpha1.PairingCodeActive:
		return r.updateActive(ctx, code)
	default:
		return r.collectGarbage(ctx, code)
	}
}

// createSecrets creates the Secrets of a new code and opens it.
func (r *reconciler) createSecrets(ctx context.Context, cached *v1alpha1.PairingCode) (ctrl.Result, error) {
	// Recreating the Secrets would change a code that people may have: read the code live.
	code := &v1alpha1.PairingCode{}
	if err := r.live.Get(ctx, client.ObjectKeyFromObject(cached), code); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if code.UID != cached.UID || code.Status.Phase != "" || !code.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil // an event follows when the cache catches up
	}
	if !r.clock.Now().Before(codeExpiry(code)) {
		return r.terminate(ctx, code, codeVerdict{phase: v1alpha1.PairingCodeExpired, reason: v1alpha1.ReasonCodeExpired,
			message: "the code expired before its Secrets could be created: create another PairingCode"})
	}
	if err := r.secrets.checkPrerequisites(ctx, code.Spec.Method); err != nil {
		return r.reportPending(ctx, code, err)
	}
	if err := r.lastFailedWrites.check(ctx, code); err != nil {
		return ctrl.Result{}, fmt.Errorf("make the secrets of code %s/%s: %w", code.Namespace, code.Name, err)
	}
	err := r.createAndOpen(ctx, code)
	r.lastFailedWrites.store(code, err)
	return ctrl.Result{}, err
}

// createAndOpen creates the Secrets and then publishes them in the status.
func (r *reconciler) createAndOpen(ctx context.Context, code *v1alpha1.PairingCode) error {
	lookupID, err := r.secrets.createPair(ctx, code)
	if err != nil {
		return fmt.Errorf("make the secrets of code %s/%s: %w", code.Namespace, code.Name, err)
	}
	if err := r.activate(ctx, code.DeepCopy(), lookupID); err != nil {
		return &failedWriteError{err, func(ctx context.Context, code *v1alpha1.PairingCode) error {
			r.setActive(code, lookupID)
			if err := r.client.Status().Update(ctx, code, client.FieldOwner(v1alpha1.FieldManagerController), client.DryRunAll); err != nil {
				return fmt.Errorf("save status: %w", err)
			}
			return nil
		}}
	}
	return nil
}

// reportPending reports in the status why the Secrets cannot be created yet.
func (r *reconciler) reportPending(ctx context.Context, code *v1alpha1.PairingCode, reason error) (ctrl.Result, error) {
	var notYet *notYetError
	if !errors.As(reason, &notYet) {
		return ctrl.Result{}, reason
	}
	before := code.DeepCopy()
	r.setReady(code, metav1.ConditionFalse, v1alpha1.ReasonSecretsPending, notYet.message)
	if err := r.saveWithEvent(ctx, before, code, corev1.EventTypeWarning, v1alpha1.ReasonSecretsPending, "CreateSecrets", notYet.message); err != nil {
		return ctrl.Result{}, err
	}
	requeueAfter := notYet.requeueAfter
	if remaining := codeExpiry(code).Sub(r.clock.Now()); requeueAfter == 0 || requeueAfter > remaining {
		requeueAfter = max(remaining, time.Second)
	}
	step.DebugWait(ctx, "the secrets of the code cannot be created yet", requeueAfter)
	return ctrl.Result{RequeueAfter: requeueAfter}, nil
}

// activate publishes in the status where to read the code.
func (r *reconciler) activate(ctx context.Context, code *v1alpha1.PairingCode, lookupID string) error {
	before := code.DeepCopy()
	message := r.setActive(code, lookupID)
	return r.saveWithEvent(ctx, before, code, corev1.EventTypeNormal, v1alpha1.ReasonCodeReady, "OpenCode", message)
}

// setActive sets the status of an open code, and returns the message for users.
func (r *reconciler) setActive(code *v1alpha1.PairingCode, lookupID string) (message string) {
	expires, tries := metav1.NewTime(codeExpiry(code)), int32(v1alpha1.MaxPairingTries)
	code.Status.Phase = v1alpha1.PairingCodeActive
	code.Status.LookupID = lookupID
	code.Status.ExpiresTime = &expires
	code.Status.SecretName = userSecretName(lookupID)
	code.Status.AttemptsLeft = &tries
	message = fmt.Sprintf("read the code in Secret %q", code.Status.SecretName)
	r.setReady(code, metav1.ConditionTrue, v1alpha1.ReasonCodeReady, message)
	return message
}

// updateActive updates the status of an active code until it is terminal.
func (r *reconciler) updateActive(ctx context.Context, code *v1alpha1.PairingCode) (ctrl.Result, error) {
	if requeueAfter, unchanged := r.checkUnchanged(ctx, code); unchanged {
		step.DebugWait(ctx, "the code is active and unchanged", requeueAfter)
		return ctrl.Result{RequeueAfter: requeueAfter}, nil
	}
	record, err := r.recordOf(ctx, code)
	if err != nil {
		return ctrl.Result{}, err
	}
	verdict := decideCode(code, record, r.clock.Now())
	if verdict.deleteRecord {
		if err := r.records.remove(ctx, record); err != nil {
			return ctrl.Result{}, err
		}
	}
	if verdict.phase != v1alpha1.PairingCodeActive {
		return r.terminate(ctx, code, verdict)
	}
	before := code.DeepCopy()
	code.Status.AttemptsLeft = &verdict.attemptsLeft
	_, err = status.Save(ctx, r.client, before, code)
	return ctrl.Result{RequeueAfter: verdict.requeueAfter}, err
}

// terminate makes a code terminal.
func (r *reconciler) terminate(ctx context.Context, code *v1alpha1.PairingCode, verdict codeVerdict) (ctrl.Result, error) {
	before := code.DeepCopy()
	code.Status.Phase = verdict.phase
	code.Status.AttemptsLeft = &verdict.attemptsLeft
	code.Status.UsedBy = verdict.usedBy
	r.setReady(code, metav1.ConditionFalse, verdict.reason, verdict.message)
	kind := corev1.EventTypeNormal
	if verdict.phase == v1alpha1.PairingCodeBurnt {
		kind = corev1.EventTypeWarning
	}
	return ctrl.Result{}, r.saveWithEvent(ctx, before, code, kind, verdict.reason, "EndCode", verdict.message)
}

func (r *reconciler) setReady(code *v1alpha1.PairingCode, ready metav1.ConditionStatus, reason, message string) {
	status.SetCondition(&code.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: ready, Reason: reason, Message: message, ObservedGeneration: code.Generation,
	}, r.clock.Now())
}

// saveWithEvent stores the status, then records an event.
func (r *reconciler) saveWithEvent(ctx context.Context, before, code *v1alpha1.PairingCode, kind, reason, action, message string) error {
	saved, err := status.Save(ctx, r.client, before, code)
	if err != nil || !saved {
		return err
	}
	ctrl.LoggerFrom(ctx).Info("code changed", "phase", code.Status.Phase, "reason", reason)
	report.Emit(r.events, code, kind, reason, action, message)
	return nil
}
