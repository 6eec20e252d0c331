package session

import (
	"context"
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/publisher"
)

var pcKey = types.NamespacedName{Namespace: "fleet", Name: "pc"}

func TestLagIsTheAgeOfTheNewestOwnWriteTheWatchHasShown(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon.Time)
	f := newWatchLag(clock)
	step := func(d time.Duration) { clock.SetTime(clock.Now().Add(d)) }
	want := func(lag time.Duration, when string) {
		t.Helper()
		if got := f.lag(); got != lag {
			t.Errorf("lag is %s %s, want %s", got, when, lag)
		}
	}
	step(time.Minute)
	f.addWrite(pcKey, "10", clock.Now())
	step(time.Second)
	want(61*time.Second, "before the write was shown")
	f.observe(pcKey, "9")
	want(61*time.Second, "after an older event")
	f.observe(types.NamespacedName{Name: "other"}, "11")
	want(61*time.Second, "after an event of another Node")
	f.observe(pcKey, "10")
	want(time.Second, "after the write was shown")
	step(time.Hour)
	if f.check(time.Minute) == nil {
		t.Error("a watch without events for an hour is fresh")
	}
	f.reset()
	if err := f.check(time.Minute); err != nil {
		t.Errorf("a gateway that held no Node is stale: %v", err)
	}
}

func TestIntroductionIsForItsKeyOnceAndForAWhile(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon.Time)
	i := newRegistrations(clock)
	i.put(pcKey, "key", nodestatus.Description{BootID: "one"})
	if _, ok := i.take(pcKey, "other key"); ok {
		t.Error("another key took the introduction")
	}
	if d, ok := i.take(pcKey, "key"); !ok || d.BootID != "one" || !d.registeredAt.Equal(clock.Now()) {
		t.Errorf("take() = %v, %t", d, ok)
	}
	if _, ok := i.take(pcKey, "key"); ok {
		t.Error("an introduction was taken twice")
	}
	i.put(pcKey, "key", nodestatus.Description{})
	clock.SetTime(clock.Now().Add(registrationTTL + time.Second))
	if _, ok := i.take(pcKey, "key"); ok {
		t.Error("an old introduction was taken")
	}
	i.put(types.NamespacedName{Name: "other"}, "key", nodestatus.Description{})
	if len(i.byNode) != 1 {
		t.Errorf("%d introductions are kept, want the old one swept", len(i.byNode))
	}
}

func TestLiveReadsAreBoundedPerNodeAndForgotten(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon.Time)
	r := newLiveReads(clock)
	for range liveReadsBurst {
		if !r.allow(pcKey) {
			t.Fatal("refused within the budget")
		}
	}
	if r.allow(pcKey) {
		t.Error("allowed beyond the budget")
	}
	if !r.allow(types.NamespacedName{Name: "other"}) {
		t.Error("the budget of another Node was used")
	}
	clock.SetTime(clock.Now().Add(3 * liveReadsBurst * liveReadInterval))
	r.allow(types.NamespacedName{Name: "third"})
	if n := r.budgets.Len(); n != 1 {
		t.Errorf("%d budgets are kept, want only the newest", n)
	}
}

// A machine begins and ends sessions and publishes facts as fast as its budget permits.
func TestStatusWritesAreBoundedByNodeOverItsSessions(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(noon.Time)
	all := newAllowances(clock, func(types.NamespacedName) bool { return false })
	writes := 0
	for range 400 {
		a := all.forNode(pcKey) // a new session
		if a.writes.AllowSession(clock.Now()) {
			writes++
			for !clock.Now().Before(a.writes.PublishDue()) {
				a.writes.Count(clock.Now())
				writes++
			}
			if !clock.Now().Before(a.writes.EndDue()) {
				a.writes.Count(clock.Now())
				writes++
			}
		}
		clock.SetTime(clock.Now().Add(100 * time.Millisecond))
	}
	if most := publisher.SessionBurst + int(40*time.Second/publisher.Interval) + 1; writes > most {
		t.Errorf("%d writes in 40 s, want at most %d", writes, most)
	}
	clock.SetTime(clock.Now().Add(time.Hour))
	all.forNode(types.NamespacedName{Name: "other"})
	if len(all.byNode) != 1 {
		t.Errorf("%d allowances are kept, want only the newest", len(all.byNode))
	}
}

func TestInboxKeepsTheNewestAndWakesOnce(t *testing.T) {
	b := newInbox()
	d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{UID: "a"}}
	newest := d.DeepCopy()
	newest.ResourceVersion = "2"
	b.putDispatch(d)
	b.putDispatch(newest)
	b.putLeftDispatch("b")
	b.putDispatch(&v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{UID: "b"}})
	b.putNode(&v1alpha1.Node{}, false)
	if len(b.wake) != 1 {
		t.Errorf("%d wake-ups, want 1", len(b.wake))
	}
	n := b.take()
	if n.dispatches["a"] != newest || len(n.dispatches) != 2 || len(n.leftDispatches) != 0 || n.node == nil {
		t.Errorf("took %+v", n)
	}
	if n := b.take(); n.node != nil || n.dispatches != nil {
		t.Errorf("took %+v twice", n)
	}
}

func TestOldSessionNeverEvictsTheNew(t *testing.T) {
	r := newRegistry()
	release, err := r.acquire(context.Background(), pcKey)
	if err != nil {
		t.Fatal(err)
	}
	old, fresh := &session{key: pcKey}, &session{key: pcKey}
	for _, s := range []*session{old, fresh} {
		if _, err := r.add(s); err != nil {
			t.Fatal(err)
		}
	}
	release()
	r.remove(old)
	if r.get(pcKey) != fresh {
		t.Error("the end of the old session evicted the new one")
	}
	r.remove(fresh)
	if len(r.slots) != 0 {
		t.Errorf("%d unused slots are kept", len(r.slots))
	}
	r.close()
	if _, err := r.add(fresh); err == nil || r.track() {
		t.Error("a closed registry accepts sessions")
	}
	release, err = r.acquire(context.Background(), pcKey)
	if err == nil {
		release()
	}
}

func TestOneTurnPerNode(t *testing.T) {
	r := newRegistry()
	release, err := r.acquire(context.Background(), pcKey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.acquire(ctx, pcKey); !errors.Is(err, context.Canceled) {
		t.Errorf("a second turn was given: %v", err)
	}
	release()
	if len(r.slots) != 0 {
		t.Error("an unused slot is kept")
	}
}
