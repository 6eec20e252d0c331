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
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/cmd/manager/bootstrap"
	"github.com/mooring-dev/mooring/controllers"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/apitime"
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
	controller, err := newController(ctx)
	if err != nil {
		return exitWithError(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- controller.Start(ctx) }()
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

// newController returns the controller of cmd/manager.
func newController(ctx context.Context) (*bootstrap.Controller, error) {
	config, err := shared.ServiceAccountConfig(ctx, v1alpha1.SystemNamespace, v1alpha1.ControllerServiceAccount)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	apiClock.Wrap(config)
	config.Wrap(managerWrites.wrap)
	controller, err := bootstrap.NewController(config, bootstrap.Process{
		Name: "test", LeaderElect: true, MetricsBindAddress: "0",
		SystemNamespace: v1alpha1.SystemNamespace, PairingNamespace: v1alpha1.PairingNamespace,
	}, apiClock)
	if err != nil {
		return nil, err
	}
	prover, gate = controller.Prover, &switchedGate{Gate: controller.Gate}
	return controller, controller.Setup(controllers.Options{
		SystemNamespace: v1alpha1.SystemNamespace, PairingNamespace: v1alpha1.PairingNamespace, TrustDomain: trustDomain,
		DeviceIssuer: v1alpha1.DeviceIssuer, ServerIssuer: v1alpha1.ServerIssuer, AdvertisePairingEndpoint: pairingEndpoint,
		TrustNamespaces: []string{agentsNamespace},
		StaleAfter:      time.Minute, OrphanGrace: time.Minute, MaxQueuedPerNode: 5, Gate: gate,
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
