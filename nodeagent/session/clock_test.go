package session_test

import (
	"testing"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/session"
)

func TestClockFollowsTheGatewayWhateverIsDoneToTheMachinesClock(t *testing.T) {
	machine := time.Date(2030, 1, 2, 3, 0, 0, 0, time.UTC)
	timer := 5 * time.Hour
	clock := session.NewClock(func() time.Time { return machine }, func() time.Duration { return timer })
	if got := clock.Now(); !got.Equal(machine) {
		t.Errorf("before any gateway told its time Now is %s, want the machine's", got)
	}
	gateway := machine.Add(time.Hour)
	clock.Observe(gateway)
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
	clock.Observe(gateway)
	if got := clock.Now(); !got.Equal(gateway) {
		t.Errorf("Now is %s, want what was told last, %s", got, gateway)
	}
}

func TestSinceBootOnlyGrows(t *testing.T) {
	before := session.SinceBoot()
	for range 1000 {
		now := session.SinceBoot()
		if now < before || now <= 0 {
			t.Fatalf("the timer went from %s to %s", before, now)
		}
		before = now
	}
}
