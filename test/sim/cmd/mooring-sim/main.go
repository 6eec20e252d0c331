// Command mooring-sim runs many real agents in one process against a gateway: to see what a
// cluster takes, and what becomes of its machines when something breaks. It is bounded in count
// and time; Ctrl-C ends it early and cleans up all the same.
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

	"k8s.io/client-go/tools/clientcmd"

	"github.com/mooring-dev/mooring/test/sim"
)

type options struct {
	kubeconfig, pairing, node, dir string
	agents, storms                 int
	ramp                           float64
	pair                           bool
	hold, limit                    time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if err == nil {
		err = run(ctx, o, os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "mooring-sim:", err)
		stop()
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("mooring-sim", flag.ContinueOnError)
	set.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of an administrator (required; $KUBECONFIG is not read)")
	set.StringVar(&o.pairing, "pairing", "", "HOST:PORT of the pairing listener (required)")
	set.StringVar(&o.node, "node", "", "HOST:PORT of the node listener (required)")
	set.StringVar(&o.dir, "dir", "/dev/shm", "where the identity directories are made")
	set.IntVar(&o.agents, "agents", 100, fmt.Sprintf("how many agents, at most %d", sim.MaxAgents))
	set.Float64Var(&o.ramp, "ramp", 50, "agents started per second")
	set.BoolVar(&o.pair, "pair", false, "pair each agent the real way instead of making its identity")
	set.IntVar(&o.storms, "storms", 0, "break every connection at once so many times, and wait until all are back")
	set.DurationVar(&o.hold, "hold", 10*time.Second, "how long to stay once all are online")
	set.DurationVar(&o.limit, "limit", 15*time.Minute, "end after this time, whatever happens")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if o.kubeconfig == "" || o.pairing == "" || o.node == "" {
		return o, errors.New("--kubeconfig, --pairing and --node are required")
	}
	if o.agents < 1 || o.agents > sim.MaxAgents {
		return o, fmt.Errorf("--agents=%d: give 1 to %d", o.agents, sim.MaxAgents)
	}
	return o, nil
}

func run(ctx context.Context, o options, out, progress io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errors.New("--limit is over"))
	defer cancel()
	access, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	client, err := sim.NewClient(access)
	if err != nil {
		return err
	}
	fleet, err := sim.New(ctx, sim.Options{Client: client, Dir: o.dir, PairingEndpoint: o.pairing, NodeEndpoint: o.node})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	watching, stopWatching := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { fleet.Watch(watching, progress) })
	done, err := play(ctx, o, fleet)
	stopWatching()
	watcher.Wait()
	counted := fleet.Summarise()
	done.Agents, done.Online, done.Sessions, done.Reasons = counted.Agents, counted.Online, counted.Sessions, counted.Reasons
	return errors.Join(err, done.Write(out))
}

// play is the run itself: identities, ramp, storms, and a while of rest.
func play(ctx context.Context, o options, fleet *sim.Fleet) (done sim.Summary, err error) {
	began := time.Now()
	make := fleet.Issue
	if o.pair {
		make = fleet.Pair
	}
	if err := make(ctx, o.agents, nil); err != nil {
		return done, err
	}
	done.IssueSeconds = time.Since(began).Seconds()
	began = time.Now()
	if err := fleet.Start(ctx, o.ramp); err != nil {
		return done, err
	}
	if err := fleet.AwaitOnline(ctx, o.agents); err != nil {
		return done, err
	}
	done.RampSeconds = time.Since(began).Seconds()
	for range o.storms {
		began, sessions := time.Now(), fleet.Summarise().Sessions
		fleet.Storm()
		if err := fleet.AwaitSessions(ctx, sessions+o.agents); err != nil {
			return done, err
		}
		done.Storms++
		done.BackSeconds = append(done.BackSeconds, time.Since(began).Seconds())
	}
	select {
	case <-time.After(o.hold):
	case <-ctx.Done():
		return done, context.Cause(ctx)
	}
	return done, nil
}
