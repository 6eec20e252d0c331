package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// progressInterval is the interval of the lines that Watch prints, `pollInterval` the interval at which
	// Await checks.
	progressInterval = time.Second
	pollInterval     = 50 * time.Millisecond
)

// MultiFleetOptions configures a `MultiFleet`.
type MultiFleetOptions struct {
	// Binary is the path of the program mooring-sim.
	Binary string
	// Kubeconfig is the path of an administrator's kubeconfig.
	Kubeconfig string
	// Dir, PairingEndpoint and NodeEndpoint have the meaning that they have in Options.
	Dir, PairingEndpoint, NodeEndpoint string
	// Processes is the number of processes; AddressBlock is the first of their blocks.
	Processes, AddressBlock int
	// Pair makes each agent pair with a code instead of receiving a finished identity.
	Pair bool
	// SignLocally and Faults have the meaning that they have in Options.
	SignLocally bool
	Faults      Faults
	// Stderr receives the standard error of the processes.
	Stderr io.Writer
}

// MultiFleet holds agents in several processes, each with a Fleet of its own.
type MultiFleet struct {
	processes []*fleetProcess
}

// StartMultiFleet starts the processes, without agents. The caller must call Close or Abandon.
func StartMultiFleet(o MultiFleetOptions) (*MultiFleet, error) {
	c := &MultiFleet{}
	for n := range o.Processes {
		m, err := startFleetProcess(o.Binary, o.Stderr, "--obey", "--kubeconfig", o.Kubeconfig, "--dir", o.Dir, "--pairing", o.PairingEndpoint,
			"--node", o.NodeEndpoint, "--place", fmt.Sprint(o.AddressBlock+n), "--faults", o.Faults.String(),
			fmt.Sprintf("--pair=%t", o.Pair), fmt.Sprintf("--own-signature=%t", o.SignLocally))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.processes = append(c.processes, m)
	}
	return c, nil
}

// Grow adds agents until there are total of them, perSecond started per second, and waits until all
// have a session.
func (c *MultiFleet) Grow(ctx context.Context, total int, perSecond float64) error {
	for i, m := range c.processes {
		share := total / len(c.processes)
		if i < total%len(c.processes) {
			share++
		}
		if share <= m.requestedAgents {
			continue
		}
		if err := m.sendCommand("%s %d %g", commandGrow, share-m.requestedAgents, perSecond/float64(len(c.processes))); err != nil {
			return err
		}
		m.requestedAgents = share
	}
	return c.Await(ctx, fmt.Sprintf("have %d agents online", total), func(s Summary) bool { return s.Online >= total })
}

// Await waits until holds accepts the summary. Its error contains the text of the condition. It
// also returns an error when a process ends first.
func (c *MultiFleet) Await(ctx context.Context, condition string, holds func(Summary) bool) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		s := c.Summarise()
		if holds(s) {
			return nil
		}
		for _, m := range c.processes {
			if err := m.endErr(); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the simulator did not %s (%d of %d online; %v): %w", condition, s.Online, s.Agents, s.Reasons, context.Cause(ctx))
		}
	}
}

// Storm breaks every connection, waits until all agents have a session again, and returns the time
// that this took.
func (c *MultiFleet) Storm(ctx context.Context) (time.Duration, error) {
	began, before := time.Now(), c.Summarise()
	for _, m := range c.processes {
		if err := m.sendCommand(commandStorm); err != nil {
			return 0, err
		}
	}
	err := c.Await(ctx, "come back from a storm", func(s Summary) bool {
		return s.Sessions >= before.Sessions+before.Online && s.Online == s.Agents
	})
	return time.Since(began), err
}

// Summarise returns the sum of the latest summaries of the processes.
func (c *MultiFleet) Summarise() (s Summary) {
	for _, m := range c.processes {
		s.add(m.lastSummary())
	}
	return s
}

// Watch prints a line about the crowd every second, each over the line before, until ctx ends.
func (c *MultiFleet) Watch(ctx context.Context, out io.Writer) {
	tick := time.NewTicker(progressInterval)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-tick.C:
			s := c.Summarise()
			fmt.Fprintf(out, "\r%6s  %5d agents  %5d online  %6d sessions ", time.Since(began).Round(time.Second), s.Agents, s.Online, s.Sessions)
		case <-ctx.Done():
			fmt.Fprintln(out)
			return
		}
	}
}

// Close ends the processes, which remove their Nodes, namespaces and directories.
func (c *MultiFleet) Close() error {
	var group sync.WaitGroup
	problems := make([]error, len(c.processes))
	for i, m := range c.processes {
		group.Go(func() { problems[i] = m.close() })
	}
	group.Wait()
	return errors.Join(problems...)
}

// Abandon ends the processes at once. Their Nodes and namespaces stay, for a cluster that is about
// to be deleted.
func (c *MultiFleet) Abandon() error {
	for _, m := range c.processes {
		_ = m.sendCommand(commandAbandon) // a process that has ended is closed all the same
	}
	return c.Close()
}
