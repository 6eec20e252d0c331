package gatewaytime_test

import (
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/session/gatewaytime"
)

func TestClockFollowsTheGatewayWhateverIsDoneToTheMachinesClock(t *testing.T) {
	machine := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	timer := 5 * time.Hour
	clock := gatewaytime.NewClock(func() time.Time { return machine }, func() time.Duration { return timer })
	if got := clock.Now(); !got.Equal(machine) {
		t.Errorf("before the first Observe Now is %s, want the machine's time", got)
	}
	gateway := machine.Add(time.Hour)
	clock.Observe(gateway, timer, 0)
	if clock.Skew() != time.Hour {
		t.Errorf("Skew is %s, want an hour", clock.Skew())
	}
	for _, step := range []time.Duration{0, 10 * time.Hour, -20 * time.Hour} {
		machine = machine.Add(step)
		timer += time.Minute
		gateway = gateway.Add(time.Minute)
		if got := clock.Now(); !got.Equal(gateway) {
			t.Errorf("after a step of %s Now is %s, want %s", step, got, gateway)
		}
	}
	gateway = gateway.Add(-time.Minute)
	clock.Observe(gateway, timer, 0)
	if got := clock.Now(); !got.Equal(gateway) {
		t.Errorf("Now is %s, want the last observed time, %s", got, gateway)
	}
}

// TestAnAnswerThatWasLongUnderWayDoesNotPutTheClockBack delays the gateway's answer, or the gateway
// itself, within a call of 20 seconds. The time in the answer is up to 20 seconds old.
func TestAnAnswerThatWasLongUnderWayDoesNotPutTheClockBack(t *testing.T) {
	const took = 20 * time.Second
	truth := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		own   time.Duration // lead of the machine's own clock
		known bool          // a gateway has sent its time before
		delay time.Duration // of the answer
		said  time.Duration // what the gateway says of its own processing
		want  time.Duration // lead of the Clock afterwards
	}{
		"right, answer held up":           {0, false, took, 0, 0},
		"right, gateway slow":             {0, false, 0, 0, 0},
		"fast, answer held up":            {time.Hour, false, took, 0, 0},
		"fast, gateway slow":              {time.Hour, false, 0, 0, took}, // an early expiry, never a late run
		"slow, answer held up":            {-time.Hour, false, took, 0, 0},
		"slow, gateway slow":              {-time.Hour, false, 0, 0, took},
		"slow, told before, held up":      {-time.Hour, true, took, 0, 0},
		"slow, told before, slow again":   {-time.Hour, true, 0, 0, 0},
		"fast, told before, held up":      {time.Hour, true, took, 0, 0},
		"right, gateway says it was slow": {0, false, 0, took, 0},
		"fast, gateway says it was slow":  {time.Hour, false, 0, took, 0},
		"slow, gateway says it was slow":  {-time.Hour, false, 0, took, 0},
		"gateway says more than passed":   {time.Hour, false, 0, time.Hour, 0},
		"gateway says less than nothing":  {time.Hour, false, 0, -time.Hour, took},
	} {
		t.Run(name, func(t *testing.T) {
			now, timer := truth, time.Duration(0)
			clock := gatewaytime.NewClock(func() time.Time { return now.Add(c.own) }, func() time.Duration { return timer })
			if c.known {
				clock.Observe(now, timer, 0)
			}
			askedAt := clock.Elapsed()
			now, timer = now.Add(took), timer+took
			clock.Observe(now.Add(-c.delay), askedAt, c.said)
			if ahead := clock.Now().Sub(now); ahead != c.want || clock.Skew() != c.want-c.own {
				t.Errorf("the clock is %s ahead, skew %s, want %s and %s", ahead, clock.Skew(), c.want, c.want-c.own)
			}
		})
	}
}

// TestAClockThatWasToldWrongIsPutRight verifies that a later answer corrects an earlier wrong one.
func TestAClockThatWasToldWrongIsPutRight(t *testing.T) {
	now, timer := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC), time.Duration(0)
	clock := gatewaytime.NewClock(func() time.Time { return now }, func() time.Duration { return timer })
	for _, wrong := range []time.Duration{time.Minute, -time.Minute} {
		clock.Observe(now.Add(wrong), timer, 0)
		clock.Observe(now, timer, 0)
		if got := clock.Now(); !got.Equal(now) {
			t.Errorf("after an observation that was off by %s and a correct one Now is %s, want %s", wrong, got, now)
		}
	}
}

func TestSinceBootOnlyGrows(t *testing.T) {
	before := gatewaytime.SinceBoot()
	for range 1000 {
		now := gatewaytime.SinceBoot()
		if now < before || now <= 0 {
			t.Fatalf("the timer went from %s to %s", before, now)
		}
		before = now
	}
}
