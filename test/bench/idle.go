package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// settle is how long a fleet rests before it counts as idle, window how long it is watched.
	settle, window = 30 * time.Second, 2 * time.Minute
)

// idle is what agents cost that do nothing.
func idle(ctx context.Context, w *world, o options) (s section, err error) {
	s = section{title: "Idle agents", header: []string{"agents", "gateway RSS MiB", "KiB per agent", "Node.status /min", "gateway Leases and others' /min", "all writes /min"},
		text: fmt.Sprintf("Resident memory of the one gateway above what it had before the agents came; writes that the apiserver counted over %s,\n"+
			"after %s of rest. Leases are those of gateways, of leader election and of the proof of the policies. Aim: at most 55 KiB per agent; Node.status\n"+
			"and Leases together below 45 a minute at 10,000 agents.", window, settle)}
	for _, agents := range []int{o.agents, o.large} {
		if agents == 0 {
			continue
		}
		if err := w.idleAt(ctx, agents, &s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (w *world) idleAt(ctx context.Context, agents int, s *section) (err error) {
	// A gateway that never held anybody: an earlier row leaves memory behind.
	w.Gateways[0].Stop()
	if err := w.StartGateway(0); err != nil {
		return err
	}
	if err := w.Gateways[0].WaitReady(ctx); err != nil {
		return err
	}
	pid := w.Gateways[0].Pid()
	before, err := residentKiB(pid)
	if err != nil {
		return err
	}
	fleet, err := w.fleet(ctx, agents)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	if err := pause(ctx, settle); err != nil {
		return err
	}
	first, err := w.writes(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, window); err != nil {
		return err
	}
	last, err := w.writes(ctx)
	if err != nil {
		return err
	}
	after, err := residentKiB(pid)
	if err != nil {
		return err
	}
	if online := fleet.Online(); online != agents {
		return fmt.Errorf("%d of %d agents are online after a rest", online, agents)
	}
	perMinute := func(resource string) float64 { return (last[resource] - first[resource]) / window.Minutes() }
	all := 0.0
	for resource := range last {
		all += perMinute(resource)
	}
	s.add(fmt.Sprint(agents), fmt.Sprintf("%.0f", after/1024), fmt.Sprintf("%.0f", (after-before)/float64(agents)),
		fmt.Sprintf("%.0f", perMinute("nodes/status")), fmt.Sprintf("%.0f", perMinute("leases")), fmt.Sprintf("%.0f", all))
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
