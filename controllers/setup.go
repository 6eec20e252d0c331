// Package controllers reconciles the resources of Mooring: one reconciler per kind, run by the
// leading controller. It knows Kubernetes and cert-manager, and nothing of the wire.
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

// workers is how many objects of a kind are reconciled side by side: each waits for several API
// calls, and each write is a round trip to etcd.
const workers = 8

// Gate says whether the admission policies are proven (package policy).
type Gate interface {
	// Check is nil while requests may be approved and certificates issued.
	Check() error
}

// Options are what the reconcilers need besides a manager. All are required unless said
// otherwise.
type Options struct {
	// SystemNamespace holds the Leases, the issuers and ConfigMap mooring-trust.
	SystemNamespace string
	// PairingNamespace holds the password records.
	PairingNamespace string
	// ServiceAccountAudience is what tokens of in-cluster agents must be made for; the default is
	// mooring.
	ServiceAccountAudience string
	// TrustDomain begins the SPIFFE ids of machines.
	TrustDomain string

	// DeviceIssuer signs device certificates: NAME of an Issuer of SystemNamespace, or
	// ClusterIssuer/NAME. ServerIssuer likewise for gateways.
	DeviceIssuer, ServerIssuer string
	// PreviousDeviceIssuer and PreviousServerIssuer stay trusted during a rotation; optional.
	PreviousDeviceIssuer, PreviousServerIssuer string
	// TrustNamespaces get a copy of the CAs of the gateways, for agents in pods; optional.
	TrustNamespaces []string

	// AdvertisePairingEndpoint is the HOST:PORT that people are told; optional.
	AdvertisePairingEndpoint string

	// CertificateDuration is the life of device certificates; zero is DefaultCertificateDuration.
	CertificateDuration time.Duration

	// StaleAfter is how long a Node without a session is Stale before it is Offline.
	StaleAfter time.Duration
	// OrphanGrace is how long after the Lease of a gateway ran out its sessions count as ended,
	// so that machines can reconnect first.
	OrphanGrace time.Duration
	// FinishedRetention deletes finished dispatches without a TTL of their own; zero keeps them.
	FinishedRetention time.Duration
	// MaxQueuedPerNode bounds the unfinished dispatches of a Node; zero does not.
	MaxQueuedPerNode int

	// Gate stops approving and issuing while the policies are not proven.
	Gate Gate
	// Proofs say which moments the proofs of the policies cover.
	Proofs Proofs
	// Clock tells the API server's time.
	Clock clock.PassiveClock

	// stalled is shared by the controllers that reconcile Nodes.
	stalled *stalledMessages
	// specs is made by Setup: three reconcilers share it.
	specs *provenSpecs
}

// Setup adds all reconcilers to a manager that was made with Scheme and CacheByObject.
func Setup(mgr ctrl.Manager, options Options) error {
	options.stalled = &stalledMessages{}
	options.specs = newProvenSpecs(options.Proofs, options.Clock, mgr.GetEventRecorder("mooring-controller"))
	options.Proofs.OnEpoch(func(ctx context.Context, _ policy.Epoch, _ bool) error {
		return options.specs.sweep(ctx, mgr.GetAPIReader())
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

// Scheme knows the kinds of Kubernetes, Mooring and cert-manager.
func Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	utilruntime.Must(certmanagerv1.AddToScheme(scheme))
	return scheme
}

// CacheByObject narrows the cache to what the rights of the controller let it see, and drops
// what it never reads: managedFields, and the inputs and outputs of dispatches, which weigh more
// than all the rest.
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
		&corev1.Node{}:                      {Transform: keepIdentity},
	}
}
