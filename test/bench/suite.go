package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mooring-dev/mooring/test/sim"
)

const (
	// crowdPlace and `middlePlace` are the places at which the addresses of the crowds begin; fleets
	// of this process are at place 0.
	crowdPlace, middlePlace = 20, 10
	// spareFiles is the number of files that a gateway opens in addition to one per agent.
	spareFiles = 100
)

// suite holds the systems that the rows share; each is started for the first row that needs it.
type suite struct {
	options
	sizes

	// faults are the faults of the crowd's machines, for tests.
	faults sim.Faults

	small *world // for rows with few machines
	large *crowded
}

// crowded is a system whose machines live in processes of their own.
type crowded struct {
	*world
	crowd *sim.Crowd
	// residentKiB is the memory of the gateway before the first machine connected.
	residentKiB float64
}

// world returns the system of the rows with few machines: a separate one, or the crowd's if that
// already runs.
func (s *suite) world(ctx context.Context) (_ *world, err error) {
	if s.large != nil {
		return s.large.world, nil
	}
	if s.small == nil {
		s.small, err = newWorld(ctx)
	}
	return s.small, err
}

// crowd returns the system that grows from row to row, with at least the given number of agents.
func (s *suite) crowd(ctx context.Context, agents int) (*crowded, error) {
	if s.large == nil {
		processes := max((s.idle[len(s.idle)-1]+sim.MaxAgents-1)/sim.MaxAgents, 2)
		made, err := newCrowded(ctx, processes, crowdPlace, s.faults)
		if err != nil {
			return nil, err
		}
		s.large = made
	}
	return s.large, s.large.grow(ctx, agents, s.ramp)
}

func newCrowded(ctx context.Context, processes, place int, faults sim.Faults) (*crowded, error) {
	w, err := newWorld(ctx)
	if err != nil {
		return nil, err
	}
	c := &crowded{world: w}
	if c.residentKiB, err = residentKiB(w.Gateways[0].Pid()); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.crowd, err = sim.StartCrowd(sim.CrowdOptions{Binary: w.Cluster.Binary("mooring-sim"), Kubeconfig: w.Cluster.Kubeconfig(), Dir: memoryDir,
		PairingEndpoint: w.PairingEndpoint, NodeEndpoint: w.NodeEndpoint, Processes: processes, Place: place, OwnSignature: true, Faults: faults, Stderr: os.Stderr})
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// grow adds machines until there are agents of them.
func (c *crowded) grow(ctx context.Context, agents int, perSecond float64) error {
	most, err := mayOpen(c.Gateways[0].Pid())
	if err != nil {
		return err
	}
	if agents > most-spareFiles {
		return fmt.Errorf("%d agents: the gateway may open %d files, one per agent and some more", agents, most)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if code, err := c.Controller.Wait(ctx); err == nil {
			cancel(fmt.Errorf("the controller ended with %d; agents may come too fast for this machine, see --ramp:\n%s", code, c.Controller.Tail(3)))
		}
	}()
	return c.crowd.Grow(ctx, agents, perSecond) // its error names the cause
}

// machines returns the names of all machines, by namespace.
func (c *crowded) machines() (all []machine) {
	s := c.crowd.Summarise()
	for i, namespace := range s.Namespaces {
		for n := range s.AgentsIn[i] {
			all = append(all, machine{namespace, sim.AgentName(n)})
		}
	}
	return all
}

// close ends the system and deletes its cluster.
func (c *crowded) close() error {
	c.Gateways[0].Kill() // a running gateway would record the end of every session first
	var err error
	if c.crowd != nil {
		err = c.crowd.Abandon()
	}
	return errors.Join(err, c.world.close())
}

func (s *suite) close() error {
	var problems []error
	if s.large != nil {
		problems = append(problems, s.large.close())
	}
	if s.small != nil {
		problems = append(problems, s.small.close())
	}
	return errors.Join(problems...)
}

// closeSmall ends the system with few machines early, to leave the processors to those with many.
func (s *suite) closeSmall() (err error) {
	if s.small != nil {
		err, s.small = s.small.close(), nil
	}
	return err
}
