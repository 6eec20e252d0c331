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

const (
	// latencyCalls is how many dispatches of each arm a round of latency holds; the poller's are fewer.
	latencyCalls, pollCalls = 100, 8
	// throughputCalls is how many dispatches of each arm a round of throughput holds.
	throughputCalls = 600
	// fastPathAfter lets the second pass in which a session began: what is created in it costs a claim.
	fastPathAfter = 3 * time.Second
)

// arms are the ways to get a dispatch done, in one namespace with one watching caller.
type arms struct {
	*caller
	mooring, raw, polled string // node names
	fleet                *sim.Fleet
	stopWorkers          context.CancelFunc
	workers              sync.WaitGroup
}

func (w *world) arms(ctx context.Context) (*arms, error) {
	fleet, err := w.fleet(ctx, 1)
	if err != nil {
		return nil, err
	}
	a := &arms{mooring: fleet.Agents()[0].Name, raw: "raw", polled: "polled", fleet: fleet}
	a.caller = newCaller(ctx, w.client, fleet.Namespace)
	working, stop := context.WithCancel(ctx)
	a.stopWorkers = stop
	for node, plain := range map[string]*worker{a.raw: {client: w.client}, a.polled: {client: w.client, poll: time.Second}} {
		ready := make(chan struct{})
		a.workers.Go(func() { _ = plain.run(working, fleet.Namespace, node, ready) })
		<-ready
	}
	time.Sleep(fastPathAfter)
	for _, node := range []string{a.mooring, a.raw, a.polled} { // warm everything
		for range 20 {
			if _, err := a.call(ctx, node); err != nil {
				return nil, errors.Join(fmt.Errorf("warm %s: %w", node, err), a.close())
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

// latency is the time of one dispatch after the other.
func latency(ctx context.Context, w *world, o options) (s section, err error) {
	a, err := w.arms(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	rounds := map[string][][]time.Duration{}
	for range o.rounds {
		round := map[string][]time.Duration{}
		for n := range latencyCalls {
			for _, node := range []string{a.raw, a.mooring, a.polled} {
				if node == a.polled && n >= pollCalls {
					continue
				}
				took, err := a.call(ctx, node)
				if err != nil {
					return s, err
				}
				round[node] = append(round[node], took)
			}
		}
		for node, samples := range round {
			rounds[node] = append(rounds[node], samples)
		}
	}
	s = section{title: "Dispatch latency, one at a time", header: []string{"way", "p50 ms", "p99 ms", "p50 / raw", "p99 / raw"},
		text: "From sending the creation to the news of the success at a watch. *Raw* is a plain client that creates, a plain worker that watches\n" +
			"and saves the end with one status PUT: no machine, no TLS to it, no journal. *Poll* is that worker looking once a second.\n" +
			"Aim: p50 at most 1.15 of raw, p99 at most 1.3."}
	raw50, raw99 := milliseconds(rounds[a.raw], 0.5), milliseconds(rounds[a.raw], 0.99)
	for _, arm := range []struct{ name, node string }{{"raw", a.raw}, {"Mooring", a.mooring}, {"poll, 1 s", a.polled}} {
		p50, p99 := milliseconds(rounds[arm.node], 0.5), milliseconds(rounds[arm.node], 0.99)
		s.add(arm.name, spread(p50, "%.1f"), spread(p99, "%.1f"), spread(ratios(p50, raw50), "%.2f"), spread(ratios(p99, raw99), "%.2f"))
	}
	return s, nil
}

// throughput is how many dispatches end per second with so many under way.
func throughput(ctx context.Context, w *world, o options) (s section, err error) {
	a, err := w.arms(ctx)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	s = section{title: "Dispatch throughput", header: []string{"in flight", "raw /s", "Mooring /s", "Mooring / raw"},
		text: "One machine, one gateway, as many callers as are in flight. Aim: at least 0.9 of raw."}
	for _, inFlight := range []int{16, 64} {
		rates := map[string][]float64{}
		for range o.rounds {
			for _, node := range []string{a.raw, a.mooring} {
				rate, err := a.rate(ctx, node, inFlight)
				if err != nil {
					return s, err
				}
				rates[node] = append(rates[node], rate)
			}
		}
		s.add(fmt.Sprint(inFlight), spread(rates[a.raw], "%.0f"), spread(rates[a.mooring], "%.0f"), spread(ratios(rates[a.mooring], rates[a.raw]), "%.2f"))
	}
	return s, nil
}

func (a *arms) rate(ctx context.Context, node string, inFlight int) (float64, error) {
	var left atomic.Int64
	left.Store(throughputCalls)
	failures := make(chan error, inFlight)
	var callers sync.WaitGroup
	began := time.Now()
	for range inFlight {
		callers.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := a.call(ctx, node); err != nil {
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
		return throughputCalls / took.Seconds(), nil
	}
}
