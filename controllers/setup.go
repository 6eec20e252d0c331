// Package controllers reconciles the resources of Mooring. The leading controller runs one
// reconciler per kind. The package depends on Kubernetes and cert-manager, not on the wire
// protocol.
package controllers

import (
	"context"
	"fmt"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
)

// maxConcurrentReconciles is the number of concurrent reconciles per kind: each waits for several
// API calls, and each write is a round trip to etcd.
const maxConcurrentReconciles = 8

// Gate reports whether the admission policies are proven (package policy).
type Gate interface {
	// Check returns nil while requests may be approved and certificates issued.
	Check() error
}

// Options configures the reconcilers. All fields are required unless noted otherwise.
type Options struct {
	// SystemNamespace holds the Leases, the issuers and ConfigMap mooring-trust.
	SystemNamespace string
	// PairingNamespace holds the password records.
	PairingNamespace string
	// ServiceAccountAudience is the audience of the tokens of in-cluster agents; the default is
	// mooring.
	ServiceAccountAudience string
	// TrustDomain is the trust domain of the SPIFFE IDs of machines.
	TrustDomain string

	// DeviceIssuer signs device certificates: NAME of an Issuer in SystemNamespace, or
	// ClusterIssuer/NAME. ServerIssuer likewise signs the certificates of gateways.
	DeviceIssuer, ServerIssuer string
	// PreviousDeviceIssuer and PreviousServerIssuer stay trusted during a rotation; optional.
	PreviousDeviceIssuer, PreviousServerIssuer string
	// TrustNamespaces get a copy of the gateways' CAs for agents in pods; optional.
	TrustNamespaces []string

	// AdvertisePairingEndpoint is the HOST:PORT that users are shown; optional.
	AdvertisePairingEndpoint string

	// CertificateDuration is the lifetime of device certificates; zero means
	// DefaultCertificateDuration.
	CertificateDuration time.Duration

	// StaleAfter is how long a Node without a session is Stale before it is Offline.
	StaleAfter time.Duration
	// OrphanGrace is the delay between the expiry of a gateway's Lease and the end of its sessions,
	// so that machines can reconnect first.
	OrphanGrace time.Duration
	// FinishedRetention is the time after which finished dispatches without their own TTL are
	// deleted; zero keeps them.
	FinishedRetention time.Duration
	// MaxQueuedPerNode bounds the unfinished dispatches of a Node; zero means no bound.
	MaxQueuedPerNode int

	// Gate blocks approvals and certificates while the policies are not proven.
	Gate Gate
	// Proofs reports which times the proofs of the policies cover.
	Proofs Proofs
	// Clock gives the API server's time.
	Clock clock.PassiveClock

	// stalled is shared by the controllers that reconcile Nodes.
	stalled *stalledMessages
	// specs is set by Setup: three reconcilers share it.
	specs *provenSpecs
}

// Setup adds all reconcilers to a manager that was created with Scheme and CacheByObject.
func Setup(mgr ctrl.Manager, options Options) error {
	options.stalled = &stalledMessages{}
	options.specs = newProvenSpecs(options.Proofs, options.Clock, mgr.GetEventRecorder("mooring-controller"))
	options.Proofs.OnEpoch(func(ctx context.Context, _ policy.Epoch, _ bool) error {
		return options.specs.evaluateAll(ctx, mgr.GetAPIReader())
	})
	for _, part := range []struct {
		name  string
		setup func(ctrl.Manager, Options) error
	}{
		{"node", setupNode},
		{"core node", setupCoreNode},
		{"gateway", setupGateway},
		{"dispatch", setupDispatch},
		{"trust", setupTrust},
		{"pairing code", setupPairingCode},
		{"pairing request", setupPairingRequest},
		{"certificate", setupCertificate},
	} {
		if err := part.setup(mgr, options); err != nil {
			return fmt.Errorf("set up the %s controller: %w", part.name, err)
		}
	}
	return nil
}

// Scheme returns a scheme with the kinds of Kubernetes, Mooring and cert-manager.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	utilruntime.Must(certmanagerv1.AddToScheme(scheme))
	return scheme
}

// CacheByObject restricts the cache to the objects that the controller may read. It drops the
// fields that the controller never reads: managedFields, and the inputs and outputs of dispatches,
// which are larger than all the rest.
func CacheByObject(systemNamespace, pairingNamespace string) map[client.Object]cache.ByObject {
	in := func(namespace string) cache.ByObject {
		return cache.ByObject{Namespaces: map[string]cache.Config{namespace: {}}, Transform: cache.TransformStripManagedFields()}
	}
	return map[client.Object]cache.ByObject{
		&coordinationv1.Lease{}:             in(systemNamespace),
		&corev1.ConfigMap{}:                 in(systemNamespace),
		&certmanagerv1.CertificateRequest{}: in(systemNamespace),
		&corev1.Secret{}:                    in(pairingNamespace),
		&v1alpha1.CapabilityDispatch{}:      {Transform: dropPayloads},
		&corev1.Node{}:                      {Transform: stripToIdentity},
	}
}
