package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mooring-dev/mooring/test/sim"
)

const (
	// crowdAddressBlock and middleAddressBlock are the first address blocks of the crowds. Fleets of
	// this process use block 0.
	crowdAddressBlock, middleAddressBlock = 20, 10
	// spareFiles is the number of files that a gateway opens in addition to one per agent.
	spareFiles = 100
)

// suite holds the systems that the rows share; each is started for the first row that needs it.
type suite struct {
	options
	sizes

	// faults are the faults of the crowd's machines, for tests.
	faults sim.Faults

	small *system // for rows with few machines
	large *crowdSystem
}

// crowdSystem is a system whose machines live in processes of their own.
type crowdSystem struct {
	*system
	crowd *sim.MultiFleet
	// residentKiB is the memory of the gateway before the first machine connected.
	residentKiB float64
}

// smallSystem returns the system of the rows with few machines: a separate one, or the crowd's if that
// already runs.
func (s *suite) smallSystem(ctx context.Context) (_ *system, err error) {
	if s.large != nil {
		return s.large.system, nil
	}
	if s.small == nil {
		s.small, err = newSystem(ctx)
	}
	return s.small, err
}

// growCrowd returns the system that grows from row to row, with at least the given number of agents.
func (s *suite) growCrowd(ctx context.Context, agents int) (*crowdSystem, error) {
	if s.large == nil {
		processes := max((s.idle[len(s.idle)-1]+sim.MaxAgents-1)/sim.MaxAgents, 2)
		started, err := newCrowdSystem(ctx, processes, crowdAddressBlock, s.faults)
		if err != nil {
			return nil, err
		}
		s.large = started
	}
	return s.large, s.large.grow(ctx, agents, s.ramp)
}

func newCrowdSystem(ctx context.Context, processes, addressBlock int, faults sim.Faults) (*crowdSystem, error) {
	w, err := newSystem(ctx)
	if err != nil {
		return nil, err
	}
	c := &crowdSystem{system: w}
	if c.residentKiB, err = residentKiB(w.Gateways[0].Pid()); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.crowd, err = sim.StartMultiFleet(sim.MultiFleetOptions{Binary: w.Cluster.Binary("mooring-sim"), Kubeconfig: w.Cluster.Kubeconfig(), Dir: memoryDir,
		PairingEndpoint: w.PairingEndpoint, NodeEndpoint: w.NodeEndpoint, Processes: processes, AddressBlock: addressBlock, SignLocally: true, Faults: faults, Stderr: os.Stderr})
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// grow adds machines until there are agents of them.
func (c *crowdSystem) grow(ctx context.Context, agents int, perSecond float64) error {
	most, err := openFileLimit(c.Gateways[0].Pid())
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
func (c *crowdSystem) machines() (all []machine) {
	s := c.crowd.Summarise()
	for i, namespace := range s.Namespaces {
		for n := range s.AgentsIn[i] {
			all = append(all, machine{namespace, sim.AgentName(n)})
		}
	}
	return all
}

// close ends the system and deletes its cluster.
func (c *crowdSystem) close() error {
	c.Gateways[0].Kill() // a running gateway would record the end of every session first
	var err error
	if c.crowd != nil {
		err = c.crowd.Abandon()
	}
	return errors.Join(err, c.system.close())
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
