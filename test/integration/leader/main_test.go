// Package leader tests how the leading controller handles Nodes and dispatches, against a real
// control plane. The controller has the rights of its own ServiceAccount, and its own prover proves
// the policies.
package leader

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/cmd/manager/bootstrap"
	"github.com/mooring-dev/mooring/controllers"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/apitime"
	"github.com/mooring-dev/mooring/test/cluster"
	"github.com/mooring-dev/mooring/test/eventually"
)

const (
	staleAfter  = 3 * time.Second
	orphanGrace = 2 * time.Second
	// soon bounds the waits for conditions that usually hold within a second.
	soon = eventually.Within(30 * time.Second)
)

var shared *cluster.Cluster

// apiClock is the manager's view of the API server's time.
var apiClock = apitime.New(clock.RealClock{})

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run starts its own cluster: two controllers would conflict in a shared one.
func run(m *testing.M) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
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

// newController returns the controller of cmd/manager, with shorter times.
func newController(ctx context.Context) (*bootstrap.Controller, error) {
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil)))
	config, err := shared.ServiceAccountConfig(ctx, v1alpha1.SystemNamespace, v1alpha1.ControllerServiceAccount)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	apiClock.Wrap(config)
	config.Wrap(dispatchWatch.wrap)
	config.Wrap(coreNodeWatch.wrap)
	controller, err := bootstrap.NewController(config, bootstrap.Process{
		Name: "test", LeaderElect: true, MetricsBindAddress: "0",
		SystemNamespace: v1alpha1.SystemNamespace, PairingNamespace: v1alpha1.PairingNamespace,
	}, apiClock)
	if err != nil {
		return nil, err
	}
	proofs.Prover, controller.Proving = controller.Prover, proofs
	return controller, controller.Setup(controllers.Options{
		SystemNamespace: v1alpha1.SystemNamespace, PairingNamespace: v1alpha1.PairingNamespace, TrustDomain: trustDomain,
		DeviceIssuer: v1alpha1.DeviceIssuer, ServerIssuer: v1alpha1.ServerIssuer, AdvertisePairingEndpoint: "127.0.0.1:7443",
		StaleAfter: staleAfter, OrphanGrace: orphanGrace, MaxQueuedPerNode: 5,
	})
}

// waitUntil waits until the API server's clock reaches the given time.
func waitUntil(t *testing.T, at time.Time) {
	t.Helper()
	soon.Succeeds(t, "time passes", func(context.Context) error {
		if left := at.Sub(apiClock.Now()); left > 0 {
			return fmt.Errorf("%s are left", left)
		}
		return nil
	})
}
