// Package controllers adds the reconcilers of Mooring to a manager. The leading controller runs one
// reconciler per Kind, each in a package of its own below this folder. They depend on Kubernetes and
// cert-manager, not on the wire protocol.
package controllers

import (
	"cmp"
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
	"github.com/mooring-dev/mooring/controllers/certificate"
	"github.com/mooring-dev/mooring/controllers/corenode"
	"github.com/mooring-dev/mooring/controllers/dispatch"
	"github.com/mooring-dev/mooring/controllers/gateway"
	"github.com/mooring-dev/mooring/controllers/node"
	"github.com/mooring-dev/mooring/controllers/pairingcode"
	"github.com/mooring-dev/mooring/controllers/pairingrequest"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/report"
	"github.com/mooring-dev/mooring/controllers/trust"
	"github.com/mooring-dev/mooring/internal/policy"
)

// DefaultCertificateDuration is the default lifetime of a device certificate.
const DefaultCertificateDuration = 24 * time.Hour

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
	Gate proof.Gate
	// Proofs reports which times the proofs of the policies cover.
	Proofs proof.Proofs
	// Clock gives the API server's time.
	Clock clock.PassiveClock
}

// Setup adds all reconcilers to a manager that was created with Scheme and CacheByObject.
func Setup(mgr ctrl.Manager, options Options) error {
	specs := proof.NewSpecs(options.Proofs, options.Clock, report.NewRecorder(mgr))
	options.Proofs.OnEpoch(func(ctx context.Context, _ policy.Epoch, _ bool) error {
		return specs.EvaluateAll(ctx, mgr.GetAPIReader())
	})
	if err := setupNodes(mgr, options, specs); err != nil {
		return err
	}
	if err := setupTrust(mgr, options); err != nil {
		return err
	}
	if err := setupDispatches(mgr, options); err != nil {
		return err
	}
	return setupPairing(mgr, options, specs)
}

// setupNodes adds the reconcilers of Nodes. They share the messages of the condition Stalled.
func setupNodes(mgr ctrl.Manager, options Options, specs *proof.Specs) error {
	stalled := &report.StalledMessages{}
	err := node.Setup(mgr, node.Options{
		TrustDomain: options.TrustDomain, StaleAfter: options.StaleAfter, Specs: specs, Stalled: stalled, Clock: options.Clock,
	})
	if err != nil {
		return fmt.Errorf("set up the node controller: %w", err)
	}
	if err := corenode.Setup(mgr, options.Clock, stalled); err != nil {
		return fmt.Errorf("set up the core node controller: %w", err)
	}
	err = certificate.Setup(mgr, certificate.Options{
		SystemNamespace: options.SystemNamespace, TrustDomain: options.TrustDomain,
		Issuer: options.DeviceIssuer, Duration: cmp.Or(options.CertificateDuration, DefaultCertificateDuration),
		Gate: options.Gate, Proofs: options.Proofs, Specs: specs, Stalled: stalled, Clock: options.Clock,
	})
	if err != nil {
		return fmt.Errorf("set up the certificate controller: %w", err)
	}
	return nil
}

func setupTrust(mgr ctrl.Manager, options Options) error {
	err := trust.Setup(mgr, trust.Options{
		SystemNamespace: options.SystemNamespace,
		DeviceIssuer:    options.DeviceIssuer, ServerIssuer: options.ServerIssuer,
		PreviousDeviceIssuer: options.PreviousDeviceIssuer, PreviousServerIssuer: options.PreviousServerIssuer,
		CopyNamespaces: options.TrustNamespaces, Clock: options.Clock,
	})
	if err != nil {
		return fmt.Errorf("set up the trust controller: %w", err)
	}
	return nil
}

// setupDispatches adds the reconcilers of sessions of dead gateways and of dispatches.
func setupDispatches(mgr ctrl.Manager, options Options) error {
	err := gateway.Setup(mgr, gateway.Options{
		SystemNamespace: options.SystemNamespace, OrphanGrace: options.OrphanGrace, StaleAfter: options.StaleAfter, Clock: options.Clock,
	})
	if err != nil {
		return fmt.Errorf("set up the gateway controller: %w", err)
	}
	err = dispatch.Setup(mgr, dispatch.Options{
		Retention: options.FinishedRetention, MaxQueuedPerNode: options.MaxQueuedPerNode, Proofs: options.Proofs, Clock: options.Clock,
	})
	if err != nil {
		return fmt.Errorf("set up the dispatch controller: %w", err)
	}
	return nil
}

// setupPairing adds the reconcilers of pairing codes and pairing requests.
func setupPairing(mgr ctrl.Manager, options Options, specs *proof.Specs) error {
	err := pairingcode.Setup(mgr, pairingcode.Options{
		SystemNamespace: options.SystemNamespace, PairingNamespace: options.PairingNamespace,
		AdvertiseEndpoint: options.AdvertisePairingEndpoint, Proofs: options.Proofs, Clock: options.Clock,
	})
	if err != nil {
		return fmt.Errorf("set up the pairing code controller: %w", err)
	}
	err = pairingrequest.Setup(mgr, pairingrequest.Options{
		SystemNamespace: options.SystemNamespace, PairingNamespace: options.PairingNamespace,
		ServiceAccountAudience: options.ServiceAccountAudience, TrustDomain: options.TrustDomain,
		Gate: options.Gate, Proofs: options.Proofs, Specs: specs, Clock: options.Clock,
	})
	if err != nil {
		return fmt.Errorf("set up the pairing request controller: %w", err)
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
		&v1alpha1.CapabilityDispatch{}:      {Transform: dispatch.DropPayloads},
		&corev1.Node{}:                      {Transform: corenode.StripToIdentity},
	}
}
