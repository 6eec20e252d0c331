// Command mooring-sim runs many real agents against a gateway. It shows how many a cluster can
// serve, and how its machines recover from failures and faults. It spreads the agents over as many
// processes as their number needs. A run is bounded in number and time; Ctrl-C ends it early and
// still cleans up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/test/sim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	switch {
	case err != nil:
	case o.serveCommands:
		err = serveCommands(ctx, o, os.Stdin, os.Stdout)
	default:
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mooring-sim:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errors.New("--limit is over"))
	defer cancel()
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	crowd, err := sim.StartMultiFleet(sim.MultiFleetOptions{Binary: binary, Kubeconfig: o.kubeconfig, Dir: o.dir, PairingEndpoint: o.pairing, NodeEndpoint: o.node,
		Processes: o.processes, AddressBlock: o.addressBlock, Pair: o.pair, SignLocally: o.signLocally, Faults: o.faults, Stderr: progress})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, crowd.Close()) }()
	watching, stopWatching := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { crowd.Watch(watching, progress) })
	done, err := simulate(ctx, o, crowd)
	stopWatching()
	watcher.Wait()
	counted := crowd.Summarise()
	counted.Storms, counted.ReconnectSeconds, counted.RampSeconds = done.Storms, done.ReconnectSeconds, done.RampSeconds
	return errors.Join(err, counted.Write(out))
}

// simulate runs the simulation: a ramp, storms, and a time of rest.
func simulate(ctx context.Context, o options, crowd *sim.MultiFleet) (done sim.Summary, err error) {
	began := time.Now()
	if err := crowd.Grow(ctx, o.agents, o.ramp); err != nil {
		return done, err
	}
	done.RampSeconds = time.Since(began).Seconds()
	for range o.storms {
		took, err := crowd.Storm(ctx)
		if err != nil {
			return done, err
		}
		done.Storms++
		done.ReconnectSeconds = append(done.ReconnectSeconds, took.Seconds())
	}
	select {
	case <-time.After(o.hold):
	case <-ctx.Done():
		return done, context.Cause(ctx)
	}
	return done, nil
}
