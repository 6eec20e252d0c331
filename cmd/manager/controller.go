package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers"
	"github.com/mooring-dev/mooring/internal/apitime"
	"github.com/mooring-dev/mooring/internal/policy"
)

// controllerConfig is the configuration of --role=controller. Its fields are named after the flags.
type controllerConfig struct {
	metricsBindAddress     string
	healthProbeBindAddress string
	systemNamespace        string
	pairingNamespace       string
	trustDomain            string
	serviceAccountAudience string
	maxQueuedPerNode       int

	leaderElect              bool
	deviceIssuer             string
	serverIssuer             string
	previousDeviceIssuer     string
	previousServerIssuer     string
	trustNamespaces          string
	advertisePairingEndpoint string
	certificateDuration      time.Duration
	staleAfter               time.Duration
	orphanGrace              time.Duration
	finishedRetention        time.Duration
}

// runController reconciles while it leads, until ctx ends, and then returns nil. It returns an
// error when the leadership is lost: a restart of the process gives it a fresh cache.
func runController(ctx context.Context, config *rest.Config, c controllerConfig) error {
	log := ctrl.Log.WithName("controller")
	ready := newProbes()
	stopProbes, err := ready.serve(c.healthProbeBindAddress)
	if err != nil {
		return err
	}
	defer stopProbes()

	apiClock := apitime.New(clock.RealClock{})
	config = rest.CopyConfig(config)
	// The API server's own flow control is the limit. Bursts of writes have a budget.
	config.QPS = -1
	apiClock.Wrap(config)
	if err := awaitCluster(ctx, config, ready, log, certManagerProblem); err != nil {
		return ignoreShutdown(ctx, err)
	}
	mgr, err := newControllerManager(config, c)
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	gate := policy.NewGate(config, c.systemNamespace, apiClock)
	ready.set("policies", policiesReady(gate.Check, mgr.Elected()))
	prover, err := newProver(mgr, config, c, apiClock)
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	if err := addRunnables(mgr, gate, prover, startMarker{ready}); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	if err := controllers.Setup(mgr, c.options(gate, prover.Record(), apiClock)); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

// policiesReady returns the readiness check of the policies. The leader, for which elected is
// closed, is ready while the policies are proven. Other replicas are ready after the first proof.
// During an update that changes a policy, the old leader disproves the new policies. The Deployment
// keeps the old leader as long as no other replica is ready.
func policiesReady(check func() error, elected <-chan struct{}) func() error {
	return func() error {
		err := check()
		select {
		case <-elected:
			return err
		default:
		}
		if errors.Is(err, policy.ErrNoProof) {
			return err
		}
		return nil
	}
}

func newControllerManager(config *rest.Config, c controllerConfig) (ctrl.Manager, error) {
	return ctrl.NewManager(config, ctrl.Options{
		Scheme: controllers.Scheme(),
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject:         controllers.CacheByObject(c.systemNamespace, c.pairingNamespace),
		},
		LeaderElection:                c.leaderElect,
		LeaderElectionID:              v1alpha1.LeaderLease,
		LeaderElectionNamespace:       c.systemNamespace,
		LeaderElectionReleaseOnCancel: true, // the process ends when Start returns
		// A restarted API server is back within the deadline. A killed leader is replaced after the
		// duration.
		LeaseDuration:           ptr.To(20 * time.Second),
		RenewDeadline:           ptr.To(15 * time.Second),
		Metrics:                 metricsserver.Options{BindAddress: c.metricsBindAddress},
		HealthProbeBindAddress:  "0", // probes.go serves the probes before the manager exists
		GracefulShutdownTimeout: ptr.To(shutdownTimeout),
	})
}

// newProver returns the runnable that proves the policies. Its client reads without a cache.
func newProver(mgr ctrl.Manager, config *rest.Config, c controllerConfig, clock clock.PassiveClock) (*policy.Prover, error) {
	live, err := client.New(config, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("create an uncached client: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this process: %w", err)
	}
	return policy.NewProver(config, live, c.systemNamespace, name, clock)
}

func (c controllerConfig) options(gate *policy.Gate, proofs *policy.Record, clock clock.PassiveClock) controllers.Options {
	return controllers.Options{
		SystemNamespace: c.systemNamespace, PairingNamespace: c.pairingNamespace, TrustDomain: c.trustDomain,
		ServiceAccountAudience: c.serviceAccountAudience,
		DeviceIssuer:           c.deviceIssuer, ServerIssuer: c.serverIssuer,
		PreviousDeviceIssuer: c.previousDeviceIssuer, PreviousServerIssuer: c.previousServerIssuer,
		TrustNamespaces:          splitList(c.trustNamespaces),
		AdvertisePairingEndpoint: c.advertisePairingEndpoint,
		CertificateDuration:      c.certificateDuration,
		StaleAfter:               c.staleAfter, OrphanGrace: c.orphanGrace, FinishedRetention: c.finishedRetention,
		MaxQueuedPerNode: c.maxQueuedPerNode,
		Gate:             gate, Proofs: proofs, Clock: clock,
	}
}
