// Package trust publishes the CAs of gateways and machines in ConfigMap mooring-trust.
package trust

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/backoff"
	"github.com/mooring-dev/mooring/controllers/issuer"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/step"
	"github.com/mooring-dev/mooring/internal/identity"
)

// reconciler maintains ConfigMap mooring-trust. For gateways and for machines it holds the CAs
// of the issuers in use, followed by those of the previous issuers.
type reconciler struct {
	client client.Client
	key    types.NamespacedName
	// authorities cache the CAs. There is only one worker, so no lock is needed.
	authorities []*authority
	copies      trustCopies
	clock       clock.PassiveClock
	events      events.EventRecorder
}

// Options configures the reconciler.
type Options struct {
	// SystemNamespace holds the issuers and ConfigMap mooring-trust.
	SystemNamespace string
	// DeviceIssuer signs device certificates, ServerIssuer those of gateways: NAME of an Issuer in
	// SystemNamespace, or ClusterIssuer/NAME.
	DeviceIssuer, ServerIssuer string
	// PreviousDeviceIssuer and PreviousServerIssuer stay trusted during a rotation; optional.
	PreviousDeviceIssuer, PreviousServerIssuer string
	// CopyNamespaces get a copy of the gateways' CAs for agents in pods; optional.
	CopyNamespaces []string
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds the reconciler of ConfigMap mooring-trust to a manager.
func Setup(mgr ctrl.Manager, options Options) error {
	authorities, err := newAuthorities(mgr.GetClient(), options)
	if err != nil {
		return err
	}
	r := &reconciler{
		client:      mgr.GetClient(),
		key:         types.NamespacedName{Namespace: options.SystemNamespace, Name: v1alpha1.TrustConfigMap},
		authorities: authorities,
		copies:      trustCopies{client: mgr.GetClient(), events: report.NewRecorder(mgr), namespaces: options.CopyNamespaces, failing: map[string]string{}},
		clock:       options.Clock,
		events:      report.NewRecorder(mgr),
	}
	runner := backoff.New(r, report.NewFailureEvents(mgr, &corev1.ConfigMap{}))
	return ctrl.NewControllerManagedBy(mgr).
		Named("trust").
		WatchesRawSource(source.Func(r.enqueueFirst)).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(r.requestsForConfigMap)).
		Watches(&certmanagerv1.CertificateRequest{}, handler.EnqueueRequestsFromMapFunc(r.requestsForSample)).
		WithOptions(runner.Options(1)).
		Complete(runner)
}

// newAuthorities returns the issuers that the flags name, those in use first.
func newAuthorities(c client.Client, options Options) ([]*authority, error) {
	var authorities []*authority
	for _, flag := range []struct{ name, key, issuer string }{
		{"server", v1alpha1.TrustServerCAKey, options.ServerIssuer},
		{"device", v1alpha1.TrustDeviceCAKey, options.DeviceIssuer},
		{"previous-server", v1alpha1.TrustServerCAKey, options.PreviousServerIssuer},
		{"previous-device", v1alpha1.TrustDeviceCAKey, options.PreviousDeviceIssuer},
	} {
		if flag.issuer == "" && len(authorities) >= 2 {
			continue // previous issuers are optional
		}
		reference, err := issuer.Parse(flag.issuer)
		if err != nil {
			return nil, fmt.Errorf("--%s-issuer: %w", flag.name, err)
		}
		authorities = append(authorities, &authority{
			name: flag.name, key: flag.key, issuerName: reference.Kind + "/" + reference.Name,
			issuer: issuer.NewCertManager(c, options.SystemNamespace, reference),
		})
	}
	return authorities, nil
}

// enqueueFirst enqueues the first reconcile: possibly no object exists whose event would.
func (r *reconciler) enqueueFirst(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	queue.Add(reconcile.Request{NamespacedName: r.key})
	return nil
}

func (r *reconciler) requestsForConfigMap(_ context.Context, o client.Object) []reconcile.Request {
	if client.ObjectKeyFromObject(o) != r.key {
		return nil
	}
	return []reconcile.Request{{NamespacedName: r.key}}
}

func (r *reconciler) requestsForSample(_ context.Context, o client.Object) []reconcile.Request {
	if o.GetLabels()[v1alpha1.LabelComponent] != componentTrust {
		return nil
	}
	return []reconcile.Request{{NamespacedName: r.key}}
}

// Reconcile gets the CAs and writes the bundles once all are known: an incomplete union would cut
// machines off.
func (r *reconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	var waiting []error
	for _, a := range r.authorities {
		err := a.refreshBundle(ctx, r.clock.Now())
		var pending *issuer.PendingError
		switch {
		case errors.As(err, &pending):
			waiting = append(waiting, err)
		case err != nil:
			return ctrl.Result{}, err
		}
	}
	if len(waiting) > 0 {
		ctrl.LoggerFrom(ctx).Info("the trust bundles wait for cert-manager", "waiting", errors.Join(waiting...).Error())
		return ctrl.Result{RequeueAfter: issuer.GracePeriod}, nil
	}
	config := &corev1.ConfigMap{}
	if err := r.client.Get(ctx, r.key, config); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, fmt.Errorf("read ConfigMap %s: %w", r.key, err)
	}
	data, keys, err := r.bundles(ctx, config)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.writeConfigMap(ctx, config, data, keys); apierrors.IsAlreadyExists(err) {
		step.DebugWait(ctx, "the cache lacks the ConfigMap of the trust bundles", backoff.ConflictDelay)
		return ctrl.Result{RequeueAfter: backoff.ConflictDelay}, nil // the cache is behind
	} else if err != nil {
		return ctrl.Result{}, err
	}
	r.copies.applyAll(ctx, data[v1alpha1.TrustServerCAKey])
	next := r.nextRefresh()
	step.DebugWait(ctx, "the trust bundles are up to date", next)
	return ctrl.Result{RequeueAfter: next}, nil
}

// bundles returns the union of the CAs per key, in the order of the authorities, and the keys of
// the CAs to record. For a CA that was replaced under the name of its issuer, it uses the recorded
// CA.
func (r *reconciler) bundles(ctx context.Context, config *corev1.ConfigMap) (data map[string]string, keys caKeys, err error) {
	recorded := readCAKeys(config)
	data, keys = map[string]string{}, caKeys{}
	merged := map[string]identity.Bundle{}
	for _, a := range r.authorities {
		bundle := a.bundle
		recordedBundle, replaced := recorded.recordedCA(config, a)
		if replaced {
			bundle = recordedBundle
		}
		r.reportReplaced(ctx, a, replaced)
		keys[a.recordName()] = caKey(bundle)
		union, err := merged[a.key].Merge(bundle)
		if err != nil {
			return nil, nil, fmt.Errorf("merge %s: %w", a.key, err)
		}
		merged[a.key], data[a.key] = union, string(union.PEM())
	}
	return data, keys, nil
}

func (r *reconciler) nextRefresh() time.Duration {
	first := trustRefreshInterval
	if len(r.copies.namespaces) > 0 {
		first = copyInterval
	}
	for _, a := range r.authorities {
		first = min(first, a.refreshedAt.Add(a.refreshInterval()).Sub(r.clock.Now()))
	}
	return max(first, time.Second)
}

// writeConfigMap stores the bundles and the recorded keys, if they differ.
func (r *reconciler) writeConfigMap(ctx context.Context, config *corev1.ConfigMap, data map[string]string, keys caKeys) error {
	text, err := keys.encode()
	if err != nil {
		return err
	}
	exists := config.ResourceVersion != ""
	if exists && maps.Equal(config.Data, data) && config.Annotations[v1alpha1.AnnotationCAKeys] == text {
		return nil
	}
	config = config.DeepCopy()
	config.Namespace, config.Name, config.Data = r.key.Namespace, r.key.Name, data
	metav1.SetMetaDataAnnotation(&config.ObjectMeta, v1alpha1.AnnotationCAKeys, text)
	if exists {
		err = r.client.Update(ctx, config, client.FieldOwner(v1alpha1.FieldManagerController))
	} else {
		err = r.client.Create(ctx, config, client.FieldOwner(v1alpha1.FieldManagerController))
	}
	if err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", r.key, err)
	}
	ctrl.LoggerFrom(ctx).Info("trust bundles written", "configMap", r.key.String())
	return nil
}
