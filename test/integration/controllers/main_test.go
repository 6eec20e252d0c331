// Package controllers_test tests the reconcilers against a real control plane. They have the rights
// of their own ServiceAccount, and their own prover proves the policies.
package controllers_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/apitime"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/eventually"
)

const (
	trustDomain     = "mooring.test"
	pairingEndpoint = "mooring.example:7443"
	// patient bounds the waits of tests that run beside many others.
	patient = eventually.Within(2 * time.Minute)
)

var shared *cluster.Cluster

// apiClock is the manager's view of the API server's time.
var apiClock = apitime.New(clock.RealClock{})

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run starts its own cluster: two controllers would conflict in a shared one.
func run(m *testing.M) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil)))
	var err error
	if shared, err = cluster.Start(ctx, controlplane.Options{Own: true}); err != nil {
		return exitWithError(err)
	}
	defer shared.Close()
	if err := shared.InstallAll(ctx); err != nil {
		return exitWithError(err)
	}
	mgr, err := newManager(ctx)
	if err != nil {
		return exitWithError(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	// Most of the tests, especially the rows of refused writes, spend most of their time waiting.
	if err := flag.Set("test.parallel", "64"); err != nil {
		return exitWithError(err)
	}
	code := m.Run()
	cancel()
	if err := <-ended; err != nil {
		return exitWithError(err)
	}
	return code
}

func exitWithError(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// newManager returns the controller, set up like in cmd/manager.
func newManager(ctx context.Context) (ctrl.Manager, error) {
	config, err := shared.ServiceAccountConfig(ctx, v1alpha1.SystemNamespace, v1alpha1.ControllerServiceAccount)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	apiClock.Wrap(config)
	config.Wrap(managerWrites.wrap)
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: controllers.Scheme(),
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject:         controllers.CacheByObject(v1alpha1.SystemNamespace, v1alpha1.PairingNamespace),
		},
		LeaderElection: true, LeaderElectionID: v1alpha1.LeaderLease, LeaderElectionNamespace: v1alpha1.SystemNamespace,
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
	})
	if err != nil {
		return nil, err
	}
	live, err := client.New(config, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, err
	}
	gate = &switchedGate{Gate: policy.NewGate(config, v1alpha1.SystemNamespace, apiClock)}
	prover, err = policy.NewProver(config, live, v1alpha1.SystemNamespace, "test", apiClock)
	if err != nil {
		return nil, err
	}
	for _, runnable := range []interface{ Start(context.Context) error }{gate.Gate, prover} {
		if err := mgr.Add(runnable); err != nil {
			return nil, err
		}
	}
	return mgr, controllers.Setup(mgr, controllers.Options{
		SystemNamespace: v1alpha1.SystemNamespace, PairingNamespace: v1alpha1.PairingNamespace, TrustDomain: trustDomain,
		DeviceIssuer: v1alpha1.DeviceIssuer, ServerIssuer: v1alpha1.ServerIssuer, AdvertisePairingEndpoint: pairingEndpoint,
		TrustNamespaces: []string{agentsNamespace},
		StaleAfter:      time.Minute, OrphanGrace: time.Minute, MaxQueuedPerNode: 5,
		Gate: gate, Proofs: prover.Record(), Clock: apiClock,
	})
}

// waitForObject polls an object until check accepts it, and returns it.
func waitForObject[T client.Object](t *testing.T, what string, object T, check func(T) error) T {
	t.Helper()
	patient.Succeeds(t, what, func(ctx context.Context) error {
		if err := shared.Client().Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		return check(object)
	})
	return object
}

// get reads an object live.
func get[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := shared.Client().Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatalf("read %T %s: %v", object, object.GetName(), err)
	}
	return object
}
