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
	maxAgentMiB     = 25
	maxAgentPercent = 0.1
	maxBinaryMiB    = 25
)

// measureIdleAgent measures the memory, the processor time and the program size of one mooring-agent that
// runs as a process of its own.
func measureIdleAgent(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	binary, err := os.Stat(w.Cluster.Binary("mooring-agent"))
	if err != nil {
		return r, err
	}
	pid, stop, err := w.startPairedAgent(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := sleep(ctx, s.rest); err != nil {
		return r, err
	}
	before, err := processorTime(pid)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := sleep(ctx, s.agentWindow); err != nil {
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
	r.atMost("idle agent: memory", "%.1f MiB", maxAgentMiB, resident/1024)
	r.atMost("idle agent: processor", "%.3f %%", maxAgentPercent, percent)
	r.atMost("agent: size of the program", "%.1f MiB", maxBinaryMiB, size)
	return r, nil
}

// startPairedAgent starts a paired agent and waits until its Node is Online.
func (w *system) startPairedAgent(ctx context.Context) (pid int, stop func() error, err error) {
	c, err := sim.NewClient(w.Cluster.AdminConfig())
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
	agent := fleet.Agents()[0]
	process, err := w.StartAgentAt("idle", "", "--identity-dir", agent.Dir())
	if err != nil {
		return 0, nil, errors.Join(err, fleet.Close())
	}
	stop = func() error {
		process.Stop()
		return fleet.Close()
	}
	if err := w.WaitOnline(ctx, fleet.Namespace, agent.Name); err != nil {
		return 0, nil, errors.Join(err, stop())
	}
	return process.Pid(), stop, nil
}
