package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Budgets of idle machines.
const (
	maxKiBPerAgent         = 55
	maxIdleWritesPerMinute = 45
)

// measureIdle measures the cost of machines that do nothing, for the nth count of agents.
func measureIdle(n int) func(ctx context.Context, s *suite) (result, error) {
	return func(ctx context.Context, s *suite) (r result, err error) {
		if n >= len(s.idle) {
			return r, errTooFewAgents
		}
		if err := s.closeSmall(); err != nil {
			return r, err
		}
		agents := s.idle[n]
		began := time.Now()
		c, err := s.growCrowd(ctx, agents)
		if err != nil {
			return r, err
		}
		ramp := time.Since(began)
		if err := c.waitUntilIdle(ctx, s.rest); err != nil {
			return r, err
		}
		q, err := c.observeIdle(ctx, s.window)
		if err != nil {
			return r, err
		}
		if online := c.crowd.Summarise().Online; online != agents {
			return r, fmt.Errorf("%d of %d agents are online after a rest", online, agents)
		}
		perAgent := (q.residentKiB - c.residentKiB) / float64(agents)
		nodes := q.writes.ofResource("nodes/status")
		r.add(fmt.Sprint(agents), fmt.Sprintf("%.0f", ramp.Seconds()), fmt.Sprintf("%.0f", q.residentKiB/1024), fmt.Sprintf("%.0f", perAgent),
			fmt.Sprintf("%.1f", 100*q.gatewayProcessor.Seconds()/s.window.Seconds()),
			q.perMinute(nodes), q.perMinute(q.leases.gateways), q.perMinute(q.leases.leader), q.perMinute(q.leases.proof), q.perMinute(q.writes.total()))
		r.Remark = fmt.Sprintf("Writes beside %d agents in %s: %s.", agents, s.window, q.writes)
		r.atMost(fmt.Sprintf("%d idle agents: gateway memory each", agents), "%.0f KiB", maxKiBPerAgent, perAgent)
		r.atMost(fmt.Sprintf("%d idle agents: writes of Node.status and gateway Leases a minute", agents), "%.0f", maxIdleWritesPerMinute,
			(nodes+q.leases.gateways)/s.window.Minutes())
		return r, nil
	}
}

const (
	// calmWindow is the time in which writes of Node.status are counted while a system settles. A
	// window with at most calmWrites of them is calm. calmWindows calm windows in a row show that
	// no retry is pending.
	calmWindow  = 5 * time.Second
	calmWrites  = 10
	calmWindows = 6
	// maxSettling is the time after which a system counts as idle in any case.
	maxSettling = 8 * time.Minute
)

// waitUntilIdle waits until the writes that new machines cause have ended: the controller writes twice for
// each machine, fifty times a second. Then it waits for rest.
func (w *system) waitUntilIdle(ctx context.Context, rest time.Duration) error {
	deadline := time.Now().Add(maxSettling)
	before, err := w.readWrites(ctx)
	for calm := 0; calm < calmWindows && time.Now().Before(deadline) && err == nil; {
		if err = sleep(ctx, min(calmWindow, rest)); err != nil {
			break
		}
		var after counts
		if after, err = w.readWrites(ctx); err != nil {
			break
		}
		calm++
		if after.since(before).ofResource("nodes/status") > calmWrites {
			calm = 0
		}
		before = after
	}
	if err != nil {
		return err
	}
	return sleep(ctx, rest)
}

// errTooFewAgents marks a row that is left out because --largest allows too few agents.
var errTooFewAgents = errors.New("--largest allows fewer agents than the row needs")

// idleMeasurement holds the measurements of an idle system.
type idleMeasurement struct {
	window           time.Duration
	residentKiB      float64
	gatewayProcessor time.Duration
	writes           counts
	leases           *leaseWrites
}

func (q idleMeasurement) perMinute(n float64) string {
	return fmt.Sprintf("%.0f", n/q.window.Minutes())
}

func (w *system) observeIdle(ctx context.Context, window time.Duration) (q idleMeasurement, err error) {
	q.window = window
	pid := w.Gateways[0].Pid()
	first, err := w.readWrites(ctx)
	if err != nil {
		return q, err
	}
	before, err := processorTime(pid)
	if err != nil {
		return q, err
	}
	if q.leases, err = w.countLeases(ctx, window); err != nil {
		return q, err
	}
	after, err := processorTime(pid)
	if err != nil {
		return q, err
	}
	q.gatewayProcessor = after - before
	last, err := w.readWrites(ctx)
	if err != nil {
		return q, err
	}
	q.writes = last.since(first)
	q.residentKiB, err = residentKiB(pid)
	return q, err
}

// leaseWrites counts the renewals of Mooring's Leases, by their purpose.
type leaseWrites struct{ gateways, leader, proof float64 }

// countLeases counts renewals for the length of window.
func (w *system) countLeases(ctx context.Context, window time.Duration) (*leaseWrites, error) {
	watching, err := w.client.Watch(ctx, &coordinationv1.LeaseList{}, client.InNamespace(v1alpha1.SystemNamespace))
	if err != nil {
		return nil, fmt.Errorf("watch Leases: %w", err)
	}
	var seen leaseWrites
	var counting sync.WaitGroup
	counting.Go(func() {
		for event := range watching.ResultChan() {
			lease, ok := event.Object.(*coordinationv1.Lease)
			if !ok || event.Type != watch.Modified {
				continue
			}
			switch {
			case lease.Name == v1alpha1.LeaderLease:
				seen.leader++
			case lease.Name == v1alpha1.PolicyProofLease:
				seen.proof++
			case strings.HasPrefix(lease.Name, v1alpha1.GatewayLeasePrefix):
				seen.gateways++
			}
		}
	})
	err = sleep(ctx, window)
	watching.Stop()
	counting.Wait()
	return &seen, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
