package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mooring-dev/mooring/test/sim"
)

// Budgets of the agent.
const (
	mostAgentMiB     = 25
	mostAgentPercent = 0.1
	mostBinaryMiB    = 25
)

// idleAgent measures the memory, the processor time and the program size of one mooring-agent that
// runs as a process of its own.
func idleAgent(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.world(ctx)
	if err != nil {
		return r, err
	}
	binary, err := os.Stat(w.Cluster.Binary("mooring-agent"))
	if err != nil {
		return r, err
	}
	pid, stop, err := w.agentProcess(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := pause(ctx, s.rest); err != nil {
		return r, err
	}
	before, err := processorTime(pid)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := pause(ctx, s.agentWindow); err != nil {
		return r, err
	}
	after, err := processorTime(pid)
	if err != nil {
		return r, err
	}
	percent := 100 * (after - before).Seconds() / time.Since(began).Seconds()
	resident, err := residentKiB(pid)
	if err != nil {
		return r, err
	}
	size := float64(binary.Size()) / (1 << 20)
	r.add(fmt.Sprintf("%.1f", resident/1024), fmt.Sprintf("%.3f", percent), fmt.Sprintf("%.1f", size))
	r.atMost("idle agent: memory", "%.1f MiB", mostAgentMiB, resident/1024)
	r.atMost("idle agent: processor", "%.3f %%", mostAgentPercent, percent)
	r.atMost("agent: size of the program", "%.1f MiB", mostBinaryMiB, size)
	return r, nil
}

// agentProcess starts a paired agent and waits until its Node is Online.
func (w *world) agentProcess(ctx context.Context) (pid int, stop func() error, err error) {
	c, err := sim.NewClient(w.Cluster.Admin())
	if err != nil {
		return 0, nil, err
	}
	fleet, err := sim.New(ctx, sim.Options{Client: c, Dir: w.dir, PairingEndpoint: w.PairingEndpoint, NodeEndpoint: w.NodeEndpoint})
	if err != nil {
		return 0, nil, err
	}
	if err := fleet.Issue(ctx, 1, nil); err != nil {
		return 0, nil, errors.Join(err, fleet.Close())
	}
	made := fleet.Agents()[0]
	process, err := w.StartAgentAt("idle", "", "--identity-dir", made.Dir())
	if err != nil {
		return 0, nil, errors.Join(err, fleet.Close())
	}
	stop = func() error {
		process.Stop()
		return fleet.Close()
	}
	if err := w.WaitOnline(ctx, fleet.Namespace, made.Name); err != nil {
		return 0, nil, errors.Join(err, stop())
	}
	return process.Pid(), stop, nil
}
