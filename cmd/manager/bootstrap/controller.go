// Package bootstrap builds the controller from its parts. The command manager and the tests that
// run a controller in their own process use it, so that both have the same caches, leader election,
// gate and prover.
package bootstrap

import (
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers"
	"github.com/mooring-dev/mooring/internal/apitime"
	"github.com/mooring-dev/mooring/internal/policy"
)

// ShutdownTimeout bounds the whole shutdown of a process: sessions, listeners, caches.
const ShutdownTimeout = 30 * time.Second

// Process are the settings of the process around the reconcilers.
type Process struct {
	// Name identifies the process in the record of the proofs.
	Name               string
	LeaderElect        bool
	MetricsBindAddress string
	SystemNamespace    string
	PairingNamespace   string
}

// Controller is a manager with the gate and the prover of the policies. Its reconcilers are added by
// Setup.
type Controller struct {
	ctrl.Manager
	Gate   *policy.Gate
	Prover *policy.Prover
	// Proving is the runnable that proves the policies with the prover; Prover itself unless a test
	// replaces it.
	Proving manager.Runnable
	clock   *apitime.Clock
}

// NewController returns a controller without reconcilers. The clock must follow the responses to the
// requests of config.
func NewController(config *rest.Config, p Process, clock *apitime.Clock) (*Controller, error) {
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: controllers.Scheme(),
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject:         controllers.CacheByObject(p.SystemNamespace, p.PairingNamespace),
		},
		LeaderElection:                p.LeaderElect,
		LeaderElectionID:              v1alpha1.LeaderLease,
		LeaderElectionNamespace:       p.SystemNamespace,
		LeaderElectionReleaseOnCancel: true, // the process ends when Start returns
		// A restarted API server is back within the deadline. A killed leader is replaced after the
		// duration.
		LeaseDuration:           ptr.To(20 * time.Second),
		RenewDeadline:           ptr.To(15 * time.Second),
		Metrics:                 metricsserver.Options{BindAddress: p.MetricsBindAddress},
		HealthProbeBindAddress:  "0", // the command serves the probes before the manager exists
		GracefulShutdownTimeout: ptr.To(ShutdownTimeout),
	})
	if err != nil {
		return nil, err
	}
	live, err := client.New(config, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("create an uncached client: %w", err)
	}
	c := &Controller{Manager: mgr, Gate: policy.NewGate(config, p.SystemNamespace, clock), clock: clock}
	if c.Prover, err = policy.NewProver(config, live, p.SystemNamespace, p.Name, clock); err != nil {
		return nil, err
	}
	c.Proving = c.Prover
	return c, nil
}

// Setup adds the gate, the prover and the reconcilers. It sets Proofs and Clock of the options, and
// Gate if that is nil.
func (c *Controller) Setup(o controllers.Options) error {
	o.Proofs, o.Clock = c.Prover.Record(), c.clock
	if o.Gate == nil {
		o.Gate = c.Gate
	}
	for _, runnable := range []manager.Runnable{c.Gate, c.Proving} {
		if err := c.Add(runnable); err != nil {
			return err
		}
	}
	return controllers.Setup(c.Manager, o)
}
