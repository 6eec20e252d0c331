// Package stack runs the whole system as real processes on this machine: a control plane, one
// controller, any number of gateways, and agents. Controller and gateways have the rights of their
// ServiceAccounts. The demo and the tests that need processes share the package.
package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// Options configures a Stack.
type Options struct {
	// Root is the checkout whose .local/bin contains the binaries.
	Root string
	// Dir is the folder for logs, kubeconfigs and identities; it must exist.
	Dir string
	// Kubeconfig is an administrator's kubeconfig of an existing cluster with cert-manager; empty
	// starts a controlplane.
	Kubeconfig string
	// Gateways is the number of replicas.
	Gateways int
	// Fsync makes etcd durable against power loss, and slower.
	Fsync bool
	// Audit makes the API server write an audit log.
	Audit bool
	// ControllerArgs and GatewayArgs are added to the flags of these processes.
	ControllerArgs, GatewayArgs []string
	// AgentBinary is the name of the agent's program; default mooring-agent.
	AgentBinary string
	// Progress is called with a line for each part that is ready; nil discards the lines.
	Progress func(line string)
}

// Stack is a running system. Its methods are safe for concurrent use.
type Stack struct {
	Options
	Cluster *controlplane.Cluster
	// Client has the rights of an administrator.
	Client client.Client
	// PairingEndpoint and NodeEndpoint are HOST:PORT of the first gateway.
	PairingEndpoint, NodeEndpoint string

	mu            sync.Mutex
	Controller    *Process
	Gateways      []*Gateway
	agents        []*Process
	kubeconfigs   map[string]string
	closing       sync.Once
	backgroundCtx context.Context // the context of goroutines beside the processes, until Close
	cancel        context.CancelFunc
	goroutines    sync.WaitGroup
}

// Gateway is one replica.
type Gateway struct {
	*Process
	Name                        string
	PairingAddress, NodeAddress string
	TLSDir                      string
	// Args are added to the flags of this replica, after GatewayArgs.
	Args []string
}

// Start starts every part and waits until all are ready. After an error it leaves nothing running.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.AgentBinary == "" {
		o.AgentBinary = "mooring-agent"
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Stack{Options: o, kubeconfigs: map[string]string{}, backgroundCtx: background, cancel: cancel}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context) error {
	if err := s.startCluster(ctx); err != nil {
		return err
	}
	s.Progress("control plane ready; Mooring's definitions, policies and rights installed")
	ports, err := FreeAddresses(2 * s.Options.Gateways)
	if err != nil {
		return err
	}
	s.PairingEndpoint, s.NodeEndpoint = ports[0], ports[1]
	if err := s.StartController(); err != nil {
		return err
	}
	tlsDir, err := s.mirrorGatewayCertificate(ctx)
	if err != nil {
		return err
	}
	for i := range s.Options.Gateways {
		g := &Gateway{Name: fmt.Sprintf("gateway-%d", i), PairingAddress: ports[2*i], NodeAddress: ports[2*i+1], TLSDir: tlsDir}
		s.Gateways = append(s.Gateways, g)
	}
	for i := range s.Gateways { // each gateway advertises all of them
		if err := s.StartGateway(i); err != nil {
			return err
		}
	}
	if err := s.waitReady(ctx); err != nil {
		return err
	}
	s.Progress("controller and gateway ready")
	return nil
}

func (s *Stack) startCluster(ctx context.Context) error {
	var err error
	if s.Kubeconfig != "" {
		s.Cluster, err = controlplane.UseExisting(s.Kubeconfig)
	} else {
		s.Cluster, err = controlplane.Start(ctx, controlplane.Options{Own: true, Fsync: s.Fsync, Audit: s.Audit})
	}
	if err != nil {
		return fmt.Errorf("start the control plane: %w", err)
	}
	if err := s.Cluster.InstallAll(ctx); err != nil {
		return fmt.Errorf("install Mooring: %w", err)
	}
	s.Client = s.Cluster.Client()
	return nil
}

// mirrorGatewayCertificate waits until cert-manager has issued the gateway's certificate, and
// returns the folder that mirrors it.
func (s *Stack) mirrorGatewayCertificate(ctx context.Context) (string, error) {
	dir := filepath.Join(s.Dir, "gateway-tls")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the gateway's TLS folder: %w", err)
	}
	ready := make(chan struct{})
	name := types.NamespacedName{Namespace: v1alpha1.SystemNamespace, Name: "mooring-gateway-tls"}
	s.goroutines.Go(func() { mirrorSecret(s.backgroundCtx, s.Client, name, dir, ready) })
	select {
	case <-ready:
		return dir, nil
	case <-ctx.Done():
		return "", fmt.Errorf("wait for Secret %s (is cert-manager running?): %w", name, ctx.Err())
	}
}

// Close stops everything in order: agents, gateways, controller, control plane.
func (s *Stack) Close() {
	s.closing.Do(func() {
		s.mu.Lock()
		agents, gateways, controller := s.agents, s.Gateways, s.Controller
		s.mu.Unlock()
		stopAll(agents)
		var replicas []*Process
		for _, g := range gateways {
			if g.Process != nil {
				replicas = append(replicas, g.Process)
			}
		}
		stopAll(replicas)
		if controller != nil {
			controller.Stop()
		}
		s.cancel()
		s.goroutines.Wait()
		if s.Cluster != nil {
			_ = s.Cluster.Close()
		}
	})
}

func stopAll(processes []*Process) {
	var wg sync.WaitGroup
	for _, p := range processes {
		wg.Go(p.Stop)
	}
	wg.Wait()
}
