package main

import (
	"context"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// site is a system with so many Nodes.
type site struct {
	*crowded
	nodes    int
	own      bool // closed after the row
	pids     []int
	machines []machine
	rawAt    machine
	calls    *caller
	stop     func()
	warming  bool

	// One figure per round: milliseconds of raw and of Mooring, and milliseconds of processor time
	// that a dispatch takes of API server, store, gateway and controller.
	raw, p50, cpu []float64
}

func (s *site) prepare(ctx context.Context) (err error) {
	if s.pids, err = s.processes(ctx); err != nil {
		return err
	}
	s.machines = s.crowded.machines()
	s.rawAt = machine{s.machines[0].namespace, "raw"}
	s.calls = newCaller(ctx, s.client)
	working, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	ready := make(chan struct{})
	group.Go(func() error { return (&worker{client: s.client}).run(working, s.rawAt, ready) })
	s.stop = func() {
		cancel()
		_ = group.Wait() // it ends with its context's error
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
	if !s.own {
		return nil
	}
	return s.crowded.close()
}

// round measures raw dispatches, then as much rest, then Mooring's; the processor time of the
// rest, which the idle machines take, does not count.
func (s *site) round(ctx context.Context, calls int) error {
	raw, err := s.series(ctx, calls, func() machine { return s.rawAt })
	if err != nil {
		return err
	}
	began := time.Now()
	idle, err := s.spent(func() error { return pause(ctx, raw.took) })
	if err != nil {
		return err
	}
	perSecond := idle.Seconds() / time.Since(began).Seconds()
	var own series
	busy, err := s.spent(func() (err error) {
		own, err = s.series(ctx, calls, func() machine { return s.machines[rand.N(len(s.machines))] })
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

// spent is the processor time of the system while work goes on.
func (s *site) spent(work func() error) (time.Duration, error) {
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

// series is dispatches one after the other.
type series struct {
	took time.Duration
	p50  float64 // milliseconds
}

func (s *site) series(ctx context.Context, calls int, next func() machine) (series, error) {
	var samples []time.Duration
	began := time.Now()
	for range calls {
		took, err := s.calls.call(ctx, next())
		if err != nil {
			return series{}, err
		}
		samples = append(samples, took)
	}
	return series{took: time.Since(began), p50: milliseconds([][]time.Duration{samples}, 0.5)[0]}, nil
}
