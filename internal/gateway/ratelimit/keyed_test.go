package ratelimit

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestABudgetIsABurstAndARate(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(start)
	k, rate := New[string](clock, 10), Rate{Burst: 3, Every: 2 * time.Second}
	for i := range 3 {
		if wait := k.Take("a", rate); wait != 0 {
			t.Fatalf("use %d waits %s", i, wait)
		}
	}
	for range 2 { // a refused use costs nothing
		if wait := k.Take("a", rate); wait != 2*time.Second {
			t.Errorf("the use beyond the burst waits %s, want 2s", wait)
		}
	}
	if wait := k.Take("b", rate); wait != 0 {
		t.Errorf("another key waits %s", wait)
	}
	clock.SetTime(start.Add(1500 * time.Millisecond))
	if wait := k.Take("a", rate); wait != 500*time.Millisecond {
		t.Errorf("half a second early it waits %s", wait)
	}
	clock.SetTime(start.Add(2 * time.Second))
	if k.Take("a", rate) != 0 || k.Take("a", rate) == 0 {
		t.Error("two seconds later not exactly one use is allowed")
	}
	clock.SetTime(start.Add(time.Hour))
	for i := range 4 {
		if wait := k.Take("a", rate); (wait == 0) != (i < 3) {
			t.Errorf("use %d after a long pause waits %s, want the burst and no more", i, wait)
		}
	}
}

func TestARateWithoutABurstAllowsNothing(t *testing.T) {
	k := New[string](clocktesting.NewFakePassiveClock(start), 10)
	if wait := k.Take("a", PerSecond(1, 0)); wait != time.Second || k.Len() != 0 {
		t.Errorf("waits %s, %d keys", wait, k.Len())
	}
	for n, want := range map[float64]time.Duration{5: 200 * time.Millisecond, 0.1: 10 * time.Second, 0: maxEvery, -1: maxEvery, 1e-9: maxEvery} {
		if got := PerSecond(n, 7); got != (Rate{Burst: 7, Every: want}) {
			t.Errorf("%v per second: %v", n, got)
		}
	}
}

func TestABudgetIsForgottenWhenItIsWholeAgain(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(start)
	k, rate := New[int](clock, 1000), Rate{Burst: 2, Every: time.Second}
	for key := range 100 {
		k.Take(key, rate)
	}
	clock.SetTime(start.Add(time.Second - 1))
	if k.Take(100, rate); k.Len() != 101 {
		t.Errorf("%d keys are known before the first budget is whole, want all", k.Len())
	}
	clock.SetTime(start.Add(time.Second))
	if k.Take(101, rate); k.Len() != 2 {
		t.Errorf("%d keys are known, want the two whose budget is not whole", k.Len())
	}
}

// The keys of a flood are all new. The busy key has used up its budget and calls again all the time.
func TestAFullTableForgetsTheKeyUsedLongestAgo(t *testing.T) {
	const maxKeys = 100
	k, rate := New[string](clocktesting.NewFakePassiveClock(start), maxKeys), Rate{Burst: 1, Every: time.Minute}
	k.Take("busy", rate)
	k.Take("first", rate)
	for i := range maxKeys - 2 {
		k.Take(strconv.Itoa(i), rate)
	}
	if k.Take("first", rate) == 0 {
		t.Error("a key is forgotten while there is room")
	}
	k.Take("busy", rate)
	for i := range 10 * maxKeys {
		if wait := k.Take("new"+strconv.Itoa(i), rate); wait != 0 {
			t.Fatalf("new key %d waits %s because of others", i, wait)
		}
		if k.Take("busy", rate) == 0 {
			t.Fatalf("after new key %d the budget of a busy key is forgotten", i)
		}
		if k.Len() != maxKeys {
			t.Fatalf("after new key %d there are %d keys, want %d", i, k.Len(), maxKeys)
		}
	}
	if wait := k.Take("first", rate); wait != 0 {
		t.Errorf("the key used longest ago is still known: it waits %s", wait)
	}
}

func TestConcurrentUsesStayWithinTheBudget(t *testing.T) {
	k, rate := New[int](clocktesting.NewFakePassiveClock(start), 4), Rate{Burst: 10, Every: time.Minute}
	var allowed atomic.Int64
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() {
			for i := range 1000 {
				if k.Take(i%2, rate) == 0 {
					allowed.Add(1)
				}
			}
		})
	}
	users.Wait()
	if got := allowed.Load(); got != 20 {
		t.Errorf("%d uses of two keys are allowed, want 20", got)
	}
}
