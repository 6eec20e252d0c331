package main

import (
	"errors"
	"flag"
	"fmt"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/test/sim"
)

// filesPerAgent and spareFiles bound the open files of a process of agents. An agent holds six: its
// directory, lock, journal, two sockets for people, and its connection. While it changes the
// connection it holds a seventh.
const filesPerAgent, spareFiles = 7, 200

type options struct {
	kubeconfig, pairing, node, dir          string
	agents, storms, processes, addressBlock int
	ramp                                    float64
	pair, signLocally, serveCommands        bool
	hold, limit                             time.Duration
	faults                                  sim.Faults
}

func parse(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("mooring-sim", flag.ContinueOnError)
	set.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of an administrator (required; $KUBECONFIG is not read)")
	set.StringVar(&o.pairing, "pairing", "", "HOST:PORT of the pairing listener (required)")
	set.StringVar(&o.node, "node", "", "HOST:PORT of the node listener (required)")
	set.StringVar(&o.dir, "dir", "/dev/shm", "where the identity directories are made")
	set.IntVar(&o.agents, "agents", 100, "how many agents in all")
	set.IntVar(&o.processes, "processes", 0, "how many processes hold them; 0 is as few as the limit of open files allows")
	set.Float64Var(&o.ramp, "ramp", 50, "agents started per second")
	set.BoolVar(&o.pair, "pair", false, "pair each agent with a code instead of creating its identity; without --ramp")
	set.BoolVar(&o.signLocally, "own-signature", false, "sign certificates with the key of the device CA instead of asking cert-manager")
	set.IntVar(&o.storms, "storms", 0, "how often to break every connection at once and wait until all agents are back")
	set.Func("faults", "constant faults: stall=3s,slow=20ms,drop=0.2,duplicate=0.5 (stalled and slow connections, share of results not sent or sent twice)", func(text string) (err error) {
		o.faults, err = sim.ParseFaults(text)
		return err
	})
	set.DurationVar(&o.hold, "hold", 10*time.Second, "how long to stay once all are online")
	set.DurationVar(&o.limit, "limit", 15*time.Minute, "end after this time in any case")
	set.IntVar(&o.addressBlock, "place", 0, "number of the first process: simulators that run beside each other come from different addresses")
	set.BoolVar(&o.serveCommands, "obey", false, "run agents for a parent process: commands on standard input, one summary per line on standard output")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	return o, o.check()
}

func (o *options) check() error {
	if o.kubeconfig == "" || o.pairing == "" || o.node == "" {
		return errors.New("--kubeconfig, --pairing and --node are required")
	}
	most, err := maxAgentsPerProcess()
	if err != nil {
		return err
	}
	if o.processes == 0 {
		o.processes = (o.agents + most - 1) / most
	}
	if o.agents < 1 || o.processes < 1 || o.agents > o.processes*most {
		return fmt.Errorf("--agents=%d in %d processes: one process holds 1 to %d", o.agents, o.processes, most)
	}
	return nil
}

// maxAgentsPerProcess returns how many agents the limit of open files allows. The Go runtime has raised the
// soft limit to the hard one.
func maxAgentsPerProcess() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("read the limit of open files: %w", err)
	}
	most := (min(limit.Cur, 1<<20) - min(limit.Cur, spareFiles)) / filesPerAgent
	return min(int(most), sim.MaxAgents), nil //nolint:gosec // at most 2^18
}
