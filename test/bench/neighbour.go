package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// neighbourBlock is the number of dispatches in a block: one block is measured beside the hostile
// machine, the next alone.
const neighbourBlock = 10

// measureNeighbour measures the latency of dispatches to a machine, alone and while another machine of the
// same gateway is hostile. Each round has its own hostile machine, so that none of its budgets is
// used up when the round begins.
func measureNeighbour(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	a, err := w.newArms(ctx)
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
	for _, machine := range a.fleet.Agents()[first:] {
		round, err := w.runNeighbourRound(ctx, a, machine.Dir(), s.latencyCalls)
		if err != nil {
			return r, err
		}
		alone, beside, used = append(alone, round.alone), append(beside, round.beside), append(used, round.percent)
		r.Remark = "The hostile machine of the last round did: " + round.tally + "."
	}
	alone50, beside50 := quantilesInMs(alone, 0.5), quantilesInMs(beside, 0.5)
	r.add("alone", formatSpread(alone50, "%.1f"), formatSpread(quantilesInMs(alone, 0.99), "%.1f"), "", "")
	r.add("beside a hostile machine", formatSpread(beside50, "%.1f"), formatSpread(quantilesInMs(beside, 0.99), "%.1f"), formatSpread(ratios(beside50, alone50), "%.2f"), formatSpread(used, "%.0f"))
	r.atMost("a hostile machine of the same gateway: p50 of a neighbour's dispatch / alone", "%.2f", 1.2, ratios(beside50, alone50)...)
	return r, nil
}

// neighbourRound is the result of one round of `measureNeighbour`.
type neighbourRound struct {
	alone, beside []time.Duration
	percent       float64 // of one processor, used by the gateway beside the hostile machine
	tally         string
}

// runNeighbourRound runs one round: blocks of dispatches in turns, with the hostile machine stopped in
// every second block.
func (w *system) runNeighbourRound(ctx context.Context, a *arms, dir string, calls int) (round neighbourRound, err error) {
	hostile, err := startHostile(ctx, dir, w.NodeEndpoint)
	if err != nil {
		return round, err
	}
	var used, lasted time.Duration
	for err == nil && len(round.beside) < calls {
		var block []time.Duration
		before, began := time.Duration(0), time.Now()
		if before, err = processorTime(w.Gateways[0].Pid()); err != nil {
			break
		}
		if block, err = a.timeDispatches(ctx, neighbourBlock); err != nil {
			break
		}
		after, statErr := processorTime(w.Gateways[0].Pid())
		used, lasted = used+after-before, lasted+time.Since(began)
		round.beside = append(round.beside, block...)
		if err = errors.Join(statErr, hostile.suspend()); err != nil {
			break
		}
		if block, err = a.timeDispatches(ctx, neighbourBlock); err == nil {
			round.alone = append(round.alone, block...)
			err = hostile.resume()
		}
	}
	tally, endErr := hostile.end()
	round.tally, round.percent = fmt.Sprintf("%s in %s", tally, lasted.Round(100*time.Millisecond)), 100*used.Seconds()/max(lasted, time.Millisecond).Seconds()
	return round, errors.Join(err, endErr)
}

// timeDispatches runs count dispatches on the machine, one after the other.
func (a *arms) timeDispatches(ctx context.Context, count int) (samples []time.Duration, err error) {
	for range count {
		took, err := a.timeDispatch(ctx, a.mooring)
		if err != nil {
			return nil, err
		}
		samples = append(samples, took)
	}
	return samples, nil
}
