package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/mooring-dev/mooring/cmd/manager/bootstrap"
	"github.com/mooring-dev/mooring/internal/apitime"
	"github.com/mooring-dev/mooring/internal/gateway"
	"github.com/mooring-dev/mooring/internal/gateway/certificates"
	gatewaypairing "github.com/mooring-dev/mooring/internal/gateway/pairing"
	"github.com/mooring-dev/mooring/internal/gateway/session"
	"github.com/mooring-dev/mooring/internal/gateway/wakeup"
	"github.com/mooring-dev/mooring/internal/pairing"
	"github.com/mooring-dev/mooring/internal/policy"
)

// gatewayConfig is the configuration of --role=gateway. Its fields are named after the flags.
type gatewayConfig struct {
	metricsBindAddress     string
	healthProbeBindAddress string
	systemNamespace        string
	pairingNamespace       string
	trustDomain            string
	serviceAccountAudience string

	tlsDir                string
	pairingBindAddress    string
	nodeBindAddress       string
	advertiseNodeEndpoint string
	dispatchedDelay       time.Duration
	maxQueuedPerNode      int
	maxPendingRequests    int
	maxConnectionsPerNode int
	leaseDuration         time.Duration
	watchStaleAfter       time.Duration
	podName               string
}

// check validates the configuration. Its error names the flag to set.
func (c gatewayConfig) check() error {
	if c.tlsDir == "" {
		return errors.New("--tls-dir is required: the directory with tls.crt and tls.key of the gateway (the mounted Secret mooring-gateway-tls)")
	}
	if _, err := pairing.ParseEndpoints(c.advertiseNodeEndpoint); err != nil {
		return fmt.Errorf("--advertise-node-endpoint %q: want HOST:PORT of the node listener as machines reach it, or several separated by commas: %w", c.advertiseNodeEndpoint, err)
	}
	return nil
}

// runGateway serves until ctx ends. Then it asks the machines to connect to another gateway and
// returns nil.
func runGateway(ctx context.Context, config *rest.Config, c gatewayConfig) error {
	if err := c.check(); err != nil {
		return err
	}
	log := ctrl.Log.WithName("gateway")
	ready := newProbes()
	stopProbes, err := ready.serve(c.healthProbeBindAddress)
	if err != nil {
		return err
	}
	defer stopProbes()

	apiClock := apitime.New(clock.RealClock{})
	config = rest.CopyConfig(config)
	// The API server's own flow control is the limit. A limit of the client would only delay
	// results.
	config.QPS = -1
	apiClock.Wrap(config)
	if err := awaitCluster(ctx, config, ready, log); err != nil {
		return ignoreShutdown(ctx, err)
	}
	mgr, err := newGatewayManager(config, c)
	if err != nil {
		return fmt.Errorf("set up the gateway: %w", err)
	}
	if err := errors.Join(addGateway(ctx, mgr, c, apiClock, ready, log), mgr.Add(manager.RunnableFunc(returnMemory))); err != nil {
		return fmt.Errorf("set up the gateway: %w", err)
	}
	return mgr.Start(ctx)
}

// ignoreShutdown returns nil when the process was asked to end, and otherwise err.
func ignoreShutdown(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// addGateway creates and adds the parts: trust and policies, certificates, the two services, the
// listeners.
func addGateway(ctx context.Context, mgr manager.Manager, c gatewayConfig, apiClock *apitime.Clock, ready *probes, log logr.Logger) error {
	name, err := processName(c.podName)
	if err != nil {
		return err
	}
	hubs, trust := gatewayHubs{nodes: wakeup.NewHub(), requests: wakeup.NewHub()}, gateway.NewTrust(log.WithName("trust"))
	if err := hubs.watch(ctx, mgr.GetCache()); err != nil {
		return err
	}
	if err := trust.Follow(ctx, mgr.GetCache(), c.systemNamespace); err != nil {
		return err
	}
	gate := policy.NewGate(mgr.GetConfig(), c.systemNamespace, apiClock)
	requester := certificates.New(certificates.Options{
		Client: mgr.GetClient(), Nodes: hubs.nodes, Bundle: trust.Server, TrustDomain: c.trustDomain,
		Clock: apiClock, Log: log.WithName("certificates"),
	})
	sessions := session.New(session.Options{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Cache: mgr.GetCache(), Gate: gate,
		Certificates: requester, Bundle: trust.Server, Gateway: name, SystemNamespace: c.systemNamespace,
		Time: apiClock, Log: log.WithName("session"), Registerer: metrics.Registry,
		DispatchedDelay: c.dispatchedDelay, MaxQueued: c.maxQueuedPerNode, LeaseDuration: c.leaseDuration,
		StaleAfter: c.watchStaleAfter,
	})
	pairings := gatewaypairing.New(gatewaypairing.Options{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Requests: hubs.requests, Nodes: hubs.nodes,
		Certificates: requester, Bundle: trust.Server, Device: trust.Device, Namespace: c.pairingNamespace,
		SystemNamespace: c.systemNamespace, Audience: c.serviceAccountAudience,
		TrustDomain: c.trustDomain, NodeEndpoint: c.advertiseNodeEndpoint, MaxPending: c.maxPendingRequests,
		Registerer: metrics.Registry,
		Clock:      apiClock, Rand: rand.Reader, Log: log.WithName("pairing"),
	})
	counters, err := gateway.NewMetrics(metrics.Registry)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	limits := gateway.DefaultLimits()
	limits.ConnectionsPerNode = c.maxConnectionsPerNode
	sessionsRunnable := newAwaitableRunnable(sessions)
	server := gateway.New(gateway.Options{
		TLSDir: c.tlsDir, PairingAddress: c.pairingBindAddress, NodeAddress: c.nodeBindAddress,
		TrustDomain: c.trustDomain, Trust: trust, Limits: limits,
		Pairing: pairings, Node: sessions, Authorizer: sessions,
		Drain: sessionsRunnable.wait, DrainTimeout: bootstrap.ShutdownTimeout / 2,
		Clock: apiClock, Metrics: counters, Log: log,
	})
	ready.set("listeners", func() error { return server.Check(nil) })
	ready.set("sessions", sessions.Check)
	return addRunnables(mgr, gate, sessionsRunnable, server, startMarker{ready})
}

func addRunnables(mgr manager.Manager, runnables ...manager.Runnable) error {
	for _, runnable := range runnables {
		if err := mgr.Add(runnable); err != nil {
			return err
		}
	}
	return nil
}

// processName returns a name that differs for each process of a pod. The Lease and the sessions of
// a crashed process do not belong to its successor.
func processName(pod string) (string, error) {
	if pod == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("no --pod-name, and the host name cannot be read: %w", err)
		}
		pod = host
	}
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", fmt.Errorf("draw process id: %w", err)
	}
	return pod + "-" + hex.EncodeToString(id[:]), nil
}

// awaitableRunnable is a runnable whose end other parts can wait for. The ends of sessions must be
// recorded before the listeners cut off the remaining connections.
type awaitableRunnable struct {
	manager.Runnable
	done chan struct{}
}

func newAwaitableRunnable(inner manager.Runnable) *awaitableRunnable {
	return &awaitableRunnable{Runnable: inner, done: make(chan struct{})}
}

// Start runs the inner runnable.
func (e *awaitableRunnable) Start(ctx context.Context) error {
	defer close(e.done)
	return e.Runnable.Start(ctx)
}

// NeedLeaderElection returns false: every replica serves.
func (e *awaitableRunnable) NeedLeaderElection() bool { return false }

func (e *awaitableRunnable) wait(ctx context.Context) {
	select {
	case <-e.done:
	case <-ctx.Done():
	}
}
