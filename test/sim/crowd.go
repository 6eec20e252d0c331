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
	// progressEvery is the interval of the lines that Watch prints, `lookEvery` the interval at which
	// Await checks.
	progressEvery = time.Second
	lookEvery     = 50 * time.Millisecond
)

// CrowdOptions configures a `Crowd`.
type CrowdOptions struct {
	// Binary is the path of the program mooring-sim.
	Binary string
	// Kubeconfig is the path of an administrator's kubeconfig.
	Kubeconfig string
	// Dir, PairingEndpoint and NodeEndpoint have the meaning that they have in Options.
	Dir, PairingEndpoint, NodeEndpoint string
	// Processes is the number of processes; Place is the first of their places.
	Processes, Place int
	// Pair makes each agent pair with a code instead of receiving a finished identity.
	Pair bool
	// OwnSignature and Faults have the meaning that they have in Options.
	OwnSignature bool
	Faults       Faults
	// Stderr receives the standard error of the processes.
	Stderr io.Writer
}

// Crowd holds agents in several processes, each with a Fleet of its own.
type Crowd struct {
	members []*member
}

// StartCrowd starts the processes, without agents. The caller must call Close or Abandon.
func StartCrowd(o CrowdOptions) (*Crowd, error) {
	c := &Crowd{}
	for n := range o.Processes {
		m, err := startMember(o.Binary, o.Stderr, "--obey", "--kubeconfig", o.Kubeconfig, "--dir", o.Dir, "--pairing", o.PairingEndpoint,
			"--node", o.NodeEndpoint, "--place", fmt.Sprint(o.Place+n), "--faults", o.Faults.String(),
			fmt.Sprintf("--pair=%t", o.Pair), fmt.Sprintf("--own-signature=%t", o.OwnSignature))
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.members = append(c.members, m)
	}
	return c, nil
}

// Grow adds agents until there are total of them, perSecond started per second, and waits until all
// have a session.
func (c *Crowd) Grow(ctx context.Context, total int, perSecond float64) error {
	for i, m := range c.members {
		share := total / len(c.members)
		if i < total%len(c.members) {
			share++
		}
		if share <= m.agents {
			continue
		}
		if err := m.command("%s %d %g", commandGrow, share-m.agents, perSecond/float64(len(c.members))); err != nil {
			return err
		}
		m.agents = share
	}
	return c.Await(ctx, fmt.Sprintf("have %d agents online", total), func(s Summary) bool { return s.Online >= total })
}

// Await waits until holds accepts the summary. Its error contains the text of the condition. It
// also returns an error when a process ends first.
func (c *Crowd) Await(ctx context.Context, what string, holds func(Summary) bool) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s := c.Summarise()
		if holds(s) {
			return nil
		}
		for _, m := range c.members {
			if err := m.ended(); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the simulator did not %s (%d of %d online; %v): %w", what, s.Online, s.Agents, s.Reasons, context.Cause(ctx))
		}
	}
}

// Storm breaks every connection, waits until all agents have a session again, and returns the time
// that this took.
func (c *Crowd) Storm(ctx context.Context) (time.Duration, error) {
	began, before := time.Now(), c.Summarise()
	for _, m := range c.members {
		if err := m.command(commandStorm); err != nil {
			return 0, err
		}
	}
	err := c.Await(ctx, "come back from a storm", func(s Summary) bool {
		return s.Sessions >= before.Sessions+before.Online && s.Online == s.Agents
	})
	return time.Since(began), err
}

// Summarise returns the sum of the latest summaries of the processes.
func (c *Crowd) Summarise() (s Summary) {
	for _, m := range c.members {
		s.add(m.summary())
	}
	return s
}

// Watch prints a line about the crowd every second, each over the line before, until ctx ends.
func (c *Crowd) Watch(ctx context.Context, out io.Writer) {
	tick := time.NewTicker(progressEvery)
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
func (c *Crowd) Close() error {
	var group sync.WaitGroup
	problems := make([]error, len(c.members))
	for i, m := range c.members {
		group.Go(func() { problems[i] = m.close() })
	}
	group.Wait()
	return errors.Join(problems...)
}

// Abandon ends the processes at once. Their Nodes and namespaces stay, for a cluster that is about
// to be deleted.
func (c *Crowd) Abandon() error {
	for _, m := range c.members {
		_ = m.command(commandAbandon) // a process that has ended is closed all the same
	}
	return c.Close()
}
