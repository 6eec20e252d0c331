package main

import (
	"context"
	"errors"
	"net/http"
	"os"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/hack/dev/stack"
	"github.com/mooring-dev/mooring/test/sim"
)

// memoryDir is the directory for the journals of simulated machines: their disk is not measured.
const memoryDir = "/dev/shm"

// system is the running system with a client that has no client-side limits.
type system struct {
	*stack.Stack
	client client.WithWatch
	api    *http.Client
	dir    string
}

// newSystem starts a new system.
func newSystem(ctx context.Context) (*system, error) {
	root, err := controlplane.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mooring-bench-")
	if err != nil {
		return nil, err
	}
	w := &system{dir: dir}
	w.Stack, err = stack.Start(ctx, stack.Options{Root: root, Dir: dir, Gateways: 1, Fsync: true})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	access := w.Cluster.AdminConfig()
	access.QPS = -1
	if w.client, err = client.NewWithWatch(access, client.Options{Scheme: controlplane.Scheme()}); err == nil {
		w.api, err = rest.HTTPClientFor(access)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *system) close() error {
	w.Close()
	return os.RemoveAll(w.dir)
}

// restartGateway starts the gateway again with args added to its usual flags.
func (w *system) restartGateway(ctx context.Context, args ...string) error {
	w.Gateways[0].Stop()
	w.GatewayArgs = args
	if err := w.StartGateway(0); err != nil {
		return err
	}
	return w.Gateways[0].WaitReady(ctx)
}

// dispatchPIDs returns the processes that do the work of a dispatch: API server, store, gateway,
// controller.
func (w *system) dispatchPIDs(ctx context.Context) ([]int, error) {
	components, err := w.Cluster.PIDs(ctx)
	if err != nil {
		return nil, err
	}
	return []int{components[controlplane.APIServer], components[controlplane.Etcd], w.Gateways[0].Pid(), w.Controller.Pid()}, nil
}

// startFleet starts agents in this process and waits until all have a session.
func (w *system) startFleet(ctx context.Context, agents int) (*sim.Fleet, error) {
	c, err := sim.NewClient(w.Cluster.AdminConfig())
	if err != nil {
		return nil, err
	}
	f, err := sim.New(ctx, sim.Options{Client: c, Dir: memoryDir, PairingEndpoint: w.PairingEndpoint, NodeEndpoint: w.NodeEndpoint, SignLocally: true})
	if err != nil {
		return nil, err
	}
	if err = f.Ramp(ctx, agents, 100); err == nil {
		err = f.AwaitOnline(ctx, agents)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
