package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mooring-dev/mooring/test/sim"
)

// fastPathAfter lets the second pass in which a session began: a dispatch that is created in it
// costs a claim.
const fastPathAfter = 3 * time.Second

// arms holds the ways to run a dispatch, with one caller that watches all of them.
type arms struct {
	*caller
	mooring, raw, polled machine
	fleet                *sim.Fleet
	stopWorkers          context.CancelFunc
	workers              sync.WaitGroup
}

func (w *system) newArms(ctx context.Context) (*arms, error) {
	fleet, err := w.startFleet(ctx, 1)
	if err != nil {
		return nil, err
	}
	in := fleet.Namespace
	a := &arms{mooring: machine{in, fleet.Agents()[0].Name}, raw: machine{in, "raw"}, polled: machine{in, "polled"}, fleet: fleet}
	a.caller = newCaller(ctx, w.client)
	working, stop := context.WithCancel(ctx)
	a.stopWorkers = stop
	for node, plain := range map[machine]*worker{a.raw: {client: w.client}, a.polled: {client: w.client, poll: time.Second}} {
		ready := make(chan struct{})
		a.workers.Go(func() { _ = plain.run(working, node, ready) })
		<-ready
	}
	time.Sleep(fastPathAfter)
	for _, node := range []machine{a.mooring, a.raw, a.polled} { // warm everything
		for range 20 {
			if _, err := a.timeDispatch(ctx, node); err != nil {
				return nil, errors.Join(fmt.Errorf("warm %s: %w", node.name, err), a.close())
			}
			if node == a.polled {
				break
			}
		}
	}
	return a, nil
}

func (a *arms) close() error {
	a.stopWorkers()
	a.workers.Wait()
	a.caller.close()
	return a.fleet.Close()
}

// measureLatency measures the time of dispatches that run one after the other.
func measureLatency(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	a, err := w.newArms(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	rounds := map[machine][][]time.Duration{}
	for range s.rounds {
		round, err := a.latencyRound(ctx, s.latencyCalls, s.pollCalls)
		if err != nil {
			return r, err
		}
		for arm, samples := range round {
			rounds[arm] = append(rounds[arm], samples)
		}
	}
	raw50, raw99 := quantilesInMs(rounds[a.raw], 0.5), quantilesInMs(rounds[a.raw], 0.99)
	for _, arm := range []struct {
		name string
		at   machine
	}{{"raw", a.raw}, {"Mooring", a.mooring}, {"poll, 1 s", a.polled}} {
		p50, p99 := quantilesInMs(rounds[arm.at], 0.5), quantilesInMs(rounds[arm.at], 0.99)
		r.add(arm.name, formatSpread(p50, "%.1f"), formatSpread(p99, "%.1f"), formatSpread(ratios(p50, raw50), "%.2f"), formatSpread(ratios(p99, raw99), "%.2f"))
	}
	own50 := quantilesInMs(rounds[a.mooring], 0.5)
	r.atMost("dispatch, one at a time: p50 / raw", "%.2f", 1.15, ratios(own50, raw50)...)
	r.atMost("dispatch, one at a time: p99 / raw", "%.2f", 1.3, ratios(quantilesInMs(rounds[a.mooring], 0.99), raw99)...)
	r.atLeast("polling once a second: p50 / Mooring", "%.0f", 30, ratios(quantilesInMs(rounds[a.polled], 0.5), own50)...)
	return r, nil
}

// latencyRound runs one round, in which the arms take turns.
func (a *arms) latencyRound(ctx context.Context, calls, polls int) (map[machine][]time.Duration, error) {
	round := map[machine][]time.Duration{}
	for n := range calls {
		for _, at := range []machine{a.raw, a.mooring, a.polled} {
			if at == a.polled && n >= polls {
				continue
			}
			took, err := a.timeDispatch(ctx, at)
			if err != nil {
				return nil, err
			}
			round[at] = append(round[at], took)
		}
	}
	return round, nil
}

// measureThroughput measures how many dispatches end per second with 16 and with 64 of them in flight.
func measureThroughput(ctx context.Context, s *suite) (r result, err error) {
	w, err := s.smallSystem(ctx)
	if err != nil {
		return r, err
	}
	a, err := w.newArms(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	for _, inFlight := range []int{16, 64} {
		rates := map[machine][]float64{}
		for range s.rounds {
			for _, at := range []machine{a.raw, a.mooring} {
				rate, err := a.measureRate(ctx, at, inFlight, s.throughputCalls)
				if err != nil {
					return r, err
				}
				rates[at] = append(rates[at], rate)
			}
		}
		ratio := ratios(rates[a.mooring], rates[a.raw])
		r.add(fmt.Sprint(inFlight), formatSpread(rates[a.raw], "%.0f"), formatSpread(rates[a.mooring], "%.0f"), formatSpread(ratio, "%.2f"))
		r.atLeast(fmt.Sprintf("throughput, %d in flight: Mooring / raw", inFlight), "%.2f", 0.9, ratio...)
	}
	return r, nil
}

func (a *arms) measureRate(ctx context.Context, at machine, inFlight, calls int) (float64, error) {
	var remaining atomic.Int64
	remaining.Store(int64(calls))
	failures := make(chan error, inFlight)
	var callers sync.WaitGroup
	began := time.Now()
	for range inFlight {
		callers.Go(func() {
			for remaining.Add(-1) >= 0 {
				if _, err := a.timeDispatch(ctx, at); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	callers.Wait()
	took := time.Since(began)
	select {
	case err := <-failures:
		return 0, err
	default:
		return float64(calls) / took.Seconds(), nil
	}
}
