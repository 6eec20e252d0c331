package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/test/sim"
)

// serveCommands runs a process of a crowd: it has no agents until it receives a command.
func serveCommands(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	// A killed parent leaves a broken pipe. It must cause an error and a clean end here, not a
	// signal.
	signal.Ignore(syscall.SIGPIPE)
	access, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	client, err := sim.NewClient(access)
	if err != nil {
		return err
	}
	fleet, err := sim.New(ctx, sim.Options{Client: client, Dir: o.dir, PairingEndpoint: o.pairing, NodeEndpoint: o.node, AddressBlock: o.addressBlock,
		SignLocally: o.signLocally, Faults: o.faults, Extra: []capability.Capability{&sim.Counter{}}})
	if err != nil {
		return fmt.Errorf("start a fleet: %w", err)
	}
	err = fleet.ServeCommands(ctx, in, out, o.pair)
	if errors.Is(err, sim.ErrAbandoned) {
		return fleet.Abandon()
	}
	return errors.Join(err, fleet.Close())
}
