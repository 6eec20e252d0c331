package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mooring-dev/mooring/test/sim"
)

const (
	// crowdPlace and middlePlace are where the addresses of the crowds begin; fleets of this
	// process are at 0.
	crowdPlace, middlePlace = 20, 10
	// spareFiles is what a gateway opens besides one file per agent.
	spareFiles = 100
)

// suite is what the rows share: systems that are started when the first row needs them.
type suite struct {
	options
	sizes

	// faults are those of the crowd's machines, for tests.
	faults sim.Faults

	small *world // for what needs few machines
	large *crowded
}

// crowded is a system whose machines live in processes of their own.
type crowded struct {
	*world
	crowd *sim.Crowd
	// residentKiB is that of the gateway before the first machine came.
	residentKiB float64
}

// world is the system of the rows that need few machines: one of its own, unless the crowd is
// there already.
func (s *suite) world(ctx context.Context) (_ *world, err error) {
	if s.large != nil {
		return s.large.world, nil
	}
	if s.small == nil {
		s.small, err = newWorld(ctx)
	}
	return s.small, err
}

// crowd is the system that grows from row to row, with agents machines or more.
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

// grow makes it so many machines, if they are fewer.
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

// machines are the names of all, by namespace.
func (c *crowded) machines() (all []machine) {
	s := c.crowd.Summarise()
	for i, namespace := range s.Namespaces {
		for n := range s.AgentsIn[i] {
			all = append(all, machine{namespace, sim.AgentName(n)})
		}
	}
	return all
}

// close throws the cluster away with everything in it.
func (c *crowded) close() error {
	c.Gateways[0].Kill() // or it would record the end of every session first
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

// closeSmall ends the system of few machines early, to leave the processors to those of many.
func (s *suite) closeSmall() (err error) {
	if s.small != nil {
		err, s.small = s.small.close(), nil
	}
	return err
}
