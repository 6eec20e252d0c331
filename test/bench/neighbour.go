package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// neighbourPause lets what a hostile machine left behind end before the next round.
const neighbourPause = 2 * time.Second

// neighbour is the latency of dispatches to a machine, alone and while another machine of the same
// gateway is hostile. Each round has a hostile machine of its own, so that all its budgets are
// whole when it begins.
func neighbour(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.world(ctx)
	if err != nil {
		return r, err
	}
	a, err := w.arms(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	first := len(a.fleet.Agents())
	if err := a.fleet.Issue(ctx, s.rounds, nil); err != nil {
		return r, err
	}
	var alone, beside [][]time.Duration
	var used []float64
	for _, enemy := range a.fleet.Agents()[first:] {
		quiet, err := a.calls(ctx, s.latencyCalls)
		if err != nil {
			return r, err
		}
		before, err := processorTime(w.Gateways[0].Pid())
		if err != nil {
			return r, err
		}
		began := time.Now()
		stop, err := startHostile(ctx, enemy.Dir(), w.NodeEndpoint)
		if err != nil {
			return r, err
		}
		loud, err := a.calls(ctx, s.latencyCalls)
		lasted := time.Since(began)
		did, stopErr := stop()
		if err := errors.Join(err, stopErr); err != nil {
			return r, err
		}
		after, err := processorTime(w.Gateways[0].Pid())
		if err != nil {
			return r, err
		}
		alone, beside, used = append(alone, quiet), append(beside, loud), append(used, 100*(after-before).Seconds()/lasted.Seconds())
		r.Remark = fmt.Sprintf("The hostile machine of the last round, in %s: %s.", lasted.Round(100*time.Millisecond), did)
		if err := pause(ctx, neighbourPause); err != nil {
			return r, err
		}
	}
	alone50, beside50 := milliseconds(alone, 0.5), milliseconds(beside, 0.5)
	r.add("alone", spread(alone50, "%.1f"), spread(milliseconds(alone, 0.99), "%.1f"), "", "")
	r.add("beside a hostile machine", spread(beside50, "%.1f"), spread(milliseconds(beside, 0.99), "%.1f"), spread(ratios(beside50, alone50), "%.2f"), spread(used, "%.0f"))
	r.atMost("a hostile machine of the same gateway: p50 of a neighbour's dispatch / alone", "%.2f", 1.2, ratios(beside50, alone50)...)
	return r, nil
}

// calls are dispatches to the machine, one after the other.
func (a *arms) calls(ctx context.Context, count int) (samples []time.Duration, err error) {
	for range count {
		took, err := a.call(ctx, a.mooring)
		if err != nil {
			return nil, err
		}
		samples = append(samples, took)
	}
	return samples, nil
}
