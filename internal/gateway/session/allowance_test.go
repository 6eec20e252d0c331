package session

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// An honest machine that loses its gateway is never refused, for any pattern of losses. Its
// sessions begin and end on one gateway, which is the worst case.
func TestReconnectsOfAnHonestMachineAreNeverRefused(t *testing.T) {
	const hour = 3600
	for name, losses := range map[string]func(i int) time.Duration{
		"cut every 10 s":                    func(int) time.Duration { return 10 * time.Second },
		"cut every 5 s":                     func(int) time.Duration { return 5 * time.Second },
		"12 crashes at once, every 3 min":   func(i int) time.Duration { return choose(i%12 == 0, 3*time.Minute, 300*time.Millisecond) },
		"rolled every minute, twice a time": func(i int) time.Duration { return choose(i%2 == 0, time.Minute, time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakePassiveClock(noon.Time)
			a := newAllowances(clock, func(types.NamespacedName) bool { return true }).forNode(pcKey)
			for i := 0; clock.Now().Before(noon.Add(hour * time.Second)); i++ {
				if !a.writes.AllowSession(clock.Now()) {
					t.Fatalf("session %d is refused after %s", i, clock.Now().Sub(noon.Time))
				}
				endSession(a, clock)
				clock.SetTime(clock.Now().Add(losses(i)))
			}
		})
	}
}

// endSession records the end of a session if the end may be written at once. Otherwise the end
// waits, and the next session makes it obsolete.
func endSession(a *allowance, c clock.PassiveClock) {
	if !c.Now().Before(a.writes.EndDue()) {
		a.writes.Count(c.Now())
	}
}

func choose(condition bool, yes, no time.Duration) time.Duration {
	if condition {
		return yes
	}
	return no
}
