package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/cmd/manager/bootstrap"
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
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name this process: %w", err)
	}
	controller, err := bootstrap.NewController(config, bootstrap.Process{
		Name: name, LeaderElect: c.leaderElect, MetricsBindAddress: c.metricsBindAddress,
		SystemNamespace: c.systemNamespace, PairingNamespace: c.pairingNamespace,
	}, apiClock)
	if err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	ready.set("policies", policiesReady(controller.Gate.Check, controller.Elected()))
	if err := errors.Join(controller.Add(startMarker{ready}), controller.Setup(c.options())); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	return controller.Start(ctx)
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

func (c controllerConfig) options() controllers.Options {
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
	}
}
