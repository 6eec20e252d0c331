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
	// killBefore is the divisor of the dispatches that are created before the gateway is killed.
	killBefore = 3
	// mostWritesPerSecond is the budget of Node.status writes: fifty by the gateway, fifty by the
	// controller.
	mostWritesPerSecond = 100
)

// kill measures the death of the only gateway while every machine is connected to it and dispatches
// are in flight. The next gateway starts at once on the same address.
func kill(ctx context.Context, s *suite) (r result, err error) {
	if err := s.closeSmall(); err != nil {
		return r, err
	}
	agents := s.idle[len(s.idle)-1]
	c, err := s.crowd(ctx, agents)
	if err != nil {
		return r, err
	}
	if err := c.settle(ctx, s.rest); err != nil {
		return r, err
	}
	before, err := c.writes(ctx)
	if err != nil {
		return r, err
	}
	ran := c.crowd.Summarise().Ran
	stream := c.startStream(ctx, s.killed, s.killedPerSecond)
	if err := stream.await(ctx, s.killed/killBefore); err != nil {
		return r, err
	}
	back, err := c.killGateway(ctx, agents)
	if err != nil {
		return r, errors.Join(err, stream.abandon())
	}
	all, err := stream.wait()
	if err != nil {
		return r, err
	}
	ends, err := c.ends(ctx, all)
	if err != nil {
		return r, err
	}
	after, err := c.writes(ctx)
	if err != nil {
		return r, err
	}
	now := c.caughtUp(ctx, ran+ends.succeeded)
	return judgeKill(agents, back, ends, after.since(before).of("nodes/status"), now, now.Ran-ran)
}

// judgeKill adds the figures of a killed gateway to a result and compares them with their budgets;
// ran is how many dispatches ran.
func judgeKill(agents int, back comeback, ends outcomes, nodeWrites float64, now sim.Summary, ran int) (r result, err error) {
	// A success that never ran counts as lost too.
	lost := ends.open + ends.failed + max(ends.succeeded-ran, 0)
	created := ends.open + ends.failed + ends.succeeded
	r.add(fmt.Sprint(agents), seconds(back.ready), seconds(back.half), seconds(back.most), seconds(back.all), fmt.Sprint(created),
		fmt.Sprint(lost), fmt.Sprint(now.Twice), fmt.Sprintf("%.0f", nodeWrites), fmt.Sprintf("%.2f", nodeWrites/float64(agents)))
	r.Remark = fmt.Sprintf("The %d dispatches ended: %s.", created, ends.phases)
	r.atMost(fmt.Sprintf("gateway killed with %d agents: Node.status writes per second until all are back", agents), "%.0f", mostWritesPerSecond, nodeWrites/back.all.Seconds())
	err = errors.Join(r.exactly(fmt.Sprintf("gateway killed with %d agents: agents not back", agents), 0, float64(agents-now.Online)),
		r.exactly("gateway killed: dispatches lost", 0, float64(lost)), r.exactly("gateway killed: dispatches run twice", 0, float64(now.Twice)))
	return r, err
}

// caughtUp returns the summary of the crowd once its processes have reported that many runs, or
// after answerTimeout: their reports are a moment behind.
func (c *crowded) caughtUp(ctx context.Context, ran int) sim.Summary {
	waiting, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_ = c.crowd.Await(waiting, "report all runs", func(s sim.Summary) bool { return s.Ran >= ran })
	_ = pause(waiting, time.Second) // for dispatches that ran twice
	return c.crowd.Summarise()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// comeback holds the times from the kill until the next gateway was ready, and until half, 99 % and
// all of the machines had a session.
type comeback struct{ ready, half, most, all time.Duration }

func (c *crowded) killGateway(ctx context.Context, agents int) (back comeback, err error) {
	before := c.crowd.Summarise()
	began := time.Now()
	c.Gateways[0].Kill()
	if err := c.StartGateway(0); err != nil {
		return back, err
	}
	if err := c.Gateways[0].WaitReady(ctx); err != nil {
		return back, err
	}
	back.ready = time.Since(began)
	for _, part := range []struct {
		percent int
		at      *time.Duration
	}{{50, &back.half}, {99, &back.most}, {100, &back.all}} {
		want := agents * part.percent / 100
		err := c.crowd.Await(ctx, fmt.Sprintf("have %d %% back", part.percent), func(s sim.Summary) bool {
			return s.Sessions-before.Sessions >= want && s.Online >= want
		})
		if err != nil {
			return back, err
		}
		*part.at = time.Since(began)
	}
	return back, nil
}

// outcomes counts how dispatches ended.
type outcomes struct {
	// open counts dispatches without an end, succeeded those that report a finished run. failed
	// counts all other ends, although nothing prevented a success.
	open, succeeded, failed int
	phases                  counts
}

// ends waits, for a bounded time, until every dispatch has ended, and counts the outcomes.
func (c *crowded) ends(ctx context.Context, all []*v1alpha1.CapabilityDispatch) (o outcomes, err error) {
	deadline := time.Now().Add(2 * answerTimeout)
	for {
		o, err = c.look(ctx, all)
		if err != nil || o.open == 0 || time.Now().After(deadline) {
			return o, err
		}
		if err := pause(ctx, time.Second); err != nil {
			return o, err
		}
	}
}
