package main

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// site is a system with a given number of Nodes.
type site struct {
	*crowdSystem
	nodes         int
	closeAfterRow bool // closed after the row
	pids          []int
	machines      []machine
	rawAt         machine
	calls         *caller
	stop          func()
	warming       bool

	// The slices hold one figure per round. raw and p50 are the milliseconds of a raw and of a
	// Mooring dispatch. cpu is the processor time of a dispatch in API server, store, gateway and
	// controller, in milliseconds.
	raw, p50, cpu []float64
}

func (s *site) prepare(ctx context.Context) (err error) {
	if s.pids, err = s.dispatchPIDs(ctx); err != nil {
		return err
	}
	s.machines = s.crowdSystem.machines()
	s.rawAt = machine{s.machines[0].namespace, "raw"}
	s.calls = newCaller(ctx, s.client)
	working, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	ready := make(chan struct{})
	group.Go(func() error { return (&worker{client: s.client}).run(working, s.rawAt, ready) })
	s.stop = func() {
		cancel()
		_ = group.Wait() // it returns the error of its context
	}
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *site) close() error {
	if s.stop != nil {
		s.stop()
		s.calls.close()
	}
	if !s.closeAfterRow {
		return nil
	}
	return s.crowdSystem.close()
}

// round measures raw dispatches, then an equal time of rest, then Mooring's dispatches. It
// subtracts the processor time that the idle machines use.
func (s *site) round(ctx context.Context, calls int) error {
	raw, err := s.runSeries(ctx, calls, func() machine { return s.rawAt })
	if err != nil {
		return err
	}
	began := time.Now()
	idle, err := s.measureProcessorTime(func() error { return sleep(ctx, raw.took) })
	if err != nil {
		return err
	}
	perSecond := idle.Seconds() / time.Since(began).Seconds()
	var own series
	busy, err := s.measureProcessorTime(func() (err error) {
		own, err = s.runSeries(ctx, calls, func() machine { return s.machines[rand.N(len(s.machines))] })
		return err
	})
	if err != nil || s.warming {
		return err
	}
	s.raw = append(s.raw, raw.p50)
	s.p50 = append(s.p50, own.p50)
	s.cpu = append(s.cpu, 1000*(busy.Seconds()-perSecond*own.took.Seconds())/float64(calls))
	return nil
}

// measureProcessorTime returns the processor time that the system uses during work.
func (s *site) measureProcessorTime(work func() error) (time.Duration, error) {
	before, err := processorTime(s.pids...)
	if err != nil {
		return 0, err
	}
	if err := work(); err != nil {
		return 0, err
	}
	after, err := processorTime(s.pids...)
	return after - before, err
}

// series holds the figures of dispatches that ran one after the other.
type series struct {
	took time.Duration
	p50  float64 // milliseconds
}

func (s *site) runSeries(ctx context.Context, calls int, next func() machine) (series, error) {
	var samples []time.Duration
	began := time.Now()
	for range calls {
		took, err := s.calls.timeDispatch(ctx, next())
		if err != nil {
			return series{}, err
		}
		samples = append(samples, took)
	}
	return series{took: time.Since(began), p50: quantilesInMs([][]time.Duration{samples}, 0.5)[0]}, nil
}
