package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/sim"
)

const (
	// killDivisor is the divisor of the dispatches that are created before the gateway is killed.
	killDivisor = 3
	// maxNodeWritesPerSecond is the budget of Node.status writes: fifty by the gateway, fifty by the
	// controller.
	maxNodeWritesPerSecond = 100
)

// measureKill measures the death of the only gateway while every machine is connected to it and dispatches
// are in flight. The next gateway starts at once on the same address.
func measureKill(ctx context.Context, s *suite) (r result, err error) {
	if err := s.closeSmall(); err != nil {
		return r, err
	}
	agents := s.idle[len(s.idle)-1]
	c, err := s.growCrowd(ctx, agents)
	if err != nil {
		return r, err
	}
	if err := c.waitUntilIdle(ctx, s.rest); err != nil {
		return r, err
	}
	before, err := c.readWrites(ctx)
	if err != nil {
		return r, err
	}
	ran := c.crowd.Summarise().Ran
	stream := c.startStream(ctx, s.killed, s.killedPerSecond)
	if err := stream.awaitCreated(ctx, s.killed/killDivisor); err != nil {
		return r, err
	}
	recovery, err := c.killGateway(ctx, agents)
	if err != nil {
		return r, errors.Join(err, stream.abandon())
	}
	all, err := stream.wait()
	if err != nil {
		return r, err
	}
	ends, err := c.awaitOutcomes(ctx, all)
	if err != nil {
		return r, err
	}
	after, err := c.readWrites(ctx)
	if err != nil {
		return r, err
	}
	now := c.awaitReports(ctx, ran+ends.succeeded)
	return judgeKill(agents, recovery, ends, after.since(before).ofResource("nodes/status"), now, now.Ran-ran)
}

// judgeKill adds the figures of a killed gateway to a result and compares them with their budgets;
// ran is how many dispatches ran.
func judgeKill(agents int, recovery recoveryTimes, ends outcomes, nodeWrites float64, now sim.Summary, ran int) (r result, err error) {
	// A success that never ran counts as lost too.
	lost := ends.open + ends.failed + max(ends.succeeded-ran, 0)
	created := ends.open + ends.failed + ends.succeeded
	r.add(fmt.Sprint(agents), formatSeconds(recovery.ready), formatSeconds(recovery.p50), formatSeconds(recovery.p99), formatSeconds(recovery.all), fmt.Sprint(created),
		fmt.Sprint(lost), fmt.Sprint(now.RanTwice), fmt.Sprintf("%.0f", nodeWrites), fmt.Sprintf("%.2f", nodeWrites/float64(agents)))
	r.Remark = fmt.Sprintf("The %d dispatches ended: %s.", created, ends.phases)
	r.atMost(fmt.Sprintf("gateway killed with %d agents: Node.status writes per second until all are back", agents), "%.0f", maxNodeWritesPerSecond, nodeWrites/recovery.all.Seconds())
	err = errors.Join(r.exactly(fmt.Sprintf("gateway killed with %d agents: agents not back", agents), 0, float64(agents-now.Online)),
		r.exactly("gateway killed: dispatches lost", 0, float64(lost)), r.exactly("gateway killed: dispatches run twice", 0, float64(now.RanTwice)))
	return r, err
}

// awaitReports returns the summary of the crowd once its processes have reported that many runs, or
// after answerTimeout: their reports are a moment behind.
func (c *crowdSystem) awaitReports(ctx context.Context, ran int) sim.Summary {
	waiting, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_ = c.crowd.Await(waiting, "report all runs", func(s sim.Summary) bool { return s.Ran >= ran })
	_ = sleep(waiting, time.Second) // for dispatches that ran twice
	return c.crowd.Summarise()
}

func formatSeconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// recoveryTimes holds the times from the kill until the next gateway was ready, and until half, 99 % and
// all of the machines had a session.
type recoveryTimes struct{ ready, p50, p99, all time.Duration }

func (c *crowdSystem) killGateway(ctx context.Context, agents int) (recovery recoveryTimes, err error) {
	before := c.crowd.Summarise()
	began := time.Now()
	c.Gateways[0].Kill()
	if err := c.StartGateway(0); err != nil {
		return recovery, err
	}
	if err := c.Gateways[0].WaitReady(ctx); err != nil {
		return recovery, err
	}
	recovery.ready = time.Since(began)
	for _, part := range []struct {
		percent int
		at      *time.Duration
	}{{50, &recovery.p50}, {99, &recovery.p99}, {100, &recovery.all}} {
		want := agents * part.percent / 100
		err := c.crowd.Await(ctx, fmt.Sprintf("have %d %% back", part.percent), func(s sim.Summary) bool {
			return s.Sessions-before.Sessions >= want && s.Online >= want
		})
		if err != nil {
			return recovery, err
		}
		*part.at = time.Since(began)
	}
	return recovery, nil
}

// outcomes counts how dispatches ended.
type outcomes struct {
	// open counts dispatches without an end, succeeded those that report a finished run. failed
	// counts all other ends, although nothing prevented a success.
	open, succeeded, failed int
	phases                  counts
}

// awaitOutcomes waits, for a bounded time, until every dispatch has ended, and counts the outcomes.
func (c *crowdSystem) awaitOutcomes(ctx context.Context, all []*v1alpha1.CapabilityDispatch) (o outcomes, err error) {
	deadline := time.Now().Add(2 * answerTimeout)
	for {
		o, err = c.readOutcomes(ctx, all)
		if err != nil || o.open == 0 || time.Now().After(deadline) {
			return o, err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return o, err
		}
	}
}
