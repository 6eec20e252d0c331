package session

import (
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

var (
	otherKey = types.NamespacedName{Namespace: "fleet", Name: "other"}
	errTest  = errors.New("for the test")
)

func TestAMachineWaitsForItsMessagesAndForTheirBytes(t *testing.T) {
	now := noon.Time
	a := newAllowance()
	for range messagesBurst {
		if wait := a.reserveMessage(now, 1); wait != 0 {
			t.Fatalf("a message of the burst waits %s", wait)
		}
	}
	if wait := a.reserveMessage(now, 1); wait != time.Second/messagesPerSecond {
		t.Errorf("the message after the burst waits %s", wait)
	}
	a = newAllowance()
	if wait := a.reserveMessage(now, 10*bytesBurst); wait != 0 {
		t.Errorf("a message larger than the burst waits %s", wait)
	}
	if wait := a.reserveMessage(now, bytesPerSecond); wait != time.Second {
		t.Errorf("the bytes of a second wait %s", wait)
	}
}

func TestAnAllowanceIsWholeWhenNothingOfItIsUsed(t *testing.T) {
	if !newAllowance().isFull(noon.Time) {
		t.Error("a new allowance is not whole")
	}
	for name, use := range map[string]func(*allowance){
		"steps":        func(a *allowance) { a.steps.AllowN(noon.Time, 1) },
		"strays":       func(a *allowance) { a.unknownResults.AllowN(noon.Time, 1) },
		"changes":      func(a *allowance) { a.capabilityChanges.AllowN(noon.Time, 1) },
		"messages":     func(a *allowance) { a.messages.AllowN(noon.Time, 1) },
		"bytes":        func(a *allowance) { a.bytes.AllowN(noon.Time, 1) },
		"schema bytes": func(a *allowance) { a.schemaBudget(noon.Time)(1) },
		"writes":       func(a *allowance) { a.writes.Count(noon.Time) },
	} {
		a := newAllowance()
		if use(a); a.isFull(noon.Time) {
			t.Errorf("an allowance without some of its %s is whole", name)
		}
		if !a.isFull(noon.Add(time.Minute)) {
			t.Errorf("the %s of an allowance are not available again after a minute", name)
		}
	}
}

// A sweep deletes full allowances, at most once in each interval.
func TestAllowancesAreSweptAfterTheirInterval(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon.Time)
	all := newAllowances(clock, func(types.NamespacedName) bool { return false })
	all.forNode(otherKey)
	for _, c := range []struct {
		after time.Duration
		kept  int
	}{{allowanceSweepInterval, 2}, {allowanceSweepInterval + 1, 1}} {
		clock.SetTime(noon.Add(c.after))
		if all.forNode(pcKey); len(all.byNode) != c.kept {
			t.Errorf("%d allowances are kept after %s, want %d", len(all.byNode), c.after, c.kept)
		}
	}
}

func TestAnIntroductionLivesExactlyItsTime(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon.Time)
	i := newRegistrations(clock)
	i.put(otherKey, "key", nodestatus.Description{})
	clock.SetTime(noon.Add(registrationTTL))
	i.put(pcKey, "key", nodestatus.Description{}) // sweeps
	if len(i.byNode) != 2 {
		t.Errorf("%d introductions are kept at the end of their life, want 2", len(i.byNode))
	}
	clock.SetTime(noon.Add(registrationTTL + 1))
	i.sweptAt = noon.Add(1)
	i.put(pcKey, "key", nodestatus.Description{})
	if len(i.byNode) != 1 {
		t.Errorf("%d introductions are kept after their life, want 1", len(i.byNode))
	}
	clock.SetTime(noon.Add(2*registrationTTL + 1))
	if _, ok := i.take(pcKey, "key"); !ok {
		t.Error("an introduction is refused at the end of its life")
	}
}

func TestAWatchIsFreshUpToItsLimit(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon.Time)
	f := newWatchLag(clock)
	clock.SetTime(noon.Add(time.Minute))
	if err := f.check(time.Minute); err != nil {
		t.Error(err)
	}
	if f.check(time.Minute-1) == nil {
		t.Error("a watch beyond its limit is fresh")
	}
}
