package pairing

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

var start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func add(t *testing.T, table *sessions, exporter string) (string, bool) {
	t.Helper()
	id, ok, err := table.add(rand.Reader, session{exporter: []byte(exporter)})
	if err != nil {
		t.Fatal(err)
	}
	return id, ok
}

func TestASessionIsTakenOnceAndOnItsConnection(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(start)
	table := newSessions(clock)
	id, _ := add(t, table, "a")
	if _, ok := table.take(id, []byte("b")); ok {
		t.Error("another connection took it")
	}
	if _, ok := table.take(id, []byte("a")); !ok {
		t.Error("its own connection did not get it")
	}
	if _, ok := table.take(id, []byte("a")); ok {
		t.Error("it was taken twice")
	}
	late, _ := add(t, table, "a")
	clock.SetTime(start.Add(sessionLife))
	if _, ok := table.take(late, []byte("a")); ok {
		t.Error("it was taken after its end")
	}
}

func TestTheTableOfSessionsIsBounded(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(start)
	table := newSessions(clock)
	for range maxPerConnection {
		if _, ok := add(t, table, "a"); !ok {
			t.Fatal("refused below the bound of a connection")
		}
	}
	if _, ok := add(t, table, "a"); ok {
		t.Error("a connection holds more than its share")
	}
	for n := 0; len(table.byID) < maxSessions; n++ {
		add(t, table, "c"+string(rune(n)))
	}
	if _, ok := add(t, table, "b"); ok {
		t.Error("the table grew beyond its bound")
	}
	clock.SetTime(start.Add(sessionLife))
	if _, ok := add(t, table, "b"); !ok {
		t.Error("no room although every session is over")
	}
	if len(table.byID) != 1 || len(table.per) != 1 {
		t.Errorf("%d sessions of %d connections are kept, want 1 of 1", len(table.byID), len(table.per))
	}
}

func TestWrongCodesBlockAnAddressForAWhile(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(start)
	o := newOffences(clock)
	burner, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for range maxOffences - 1 {
		o.add(burner)
	}
	clock.SetTime(start.Add(offenceWindow + time.Second))
	o.add(burner)
	if o.blocked(burner) != 0 {
		t.Error("blocked for offences of long ago")
	}
	for range maxOffences {
		o.add(burner)
	}
	if o.blocked(burner) <= 0 || o.blocked(other) != 0 {
		t.Errorf("the burner is blocked for %s, the neighbour for %s", o.blocked(burner), o.blocked(other))
	}
	clock.SetTime(clock.Now().Add(blockTime))
	if o.blocked(burner) != 0 {
		t.Error("still blocked after the time")
	}
}

func TestTheReservedShareIsForUntriedCodes(t *testing.T) {
	f := newFlood(clocktesting.NewFakePassiveClock(start), 1)
	asked := 0
	untried := func() bool { asked++; return true }
	for range 3 {
		if !f.admit(untried) {
			t.Fatal("refused below the common share")
		}
	}
	if asked != 0 {
		t.Error("records were looked up before the common share was used up")
	}
	if f.admit(func() bool { return false }) {
		t.Error("an unknown code got the reserved share")
	}
	if !f.admit(untried) {
		t.Error("an untried code did not get the reserved share")
	}
}
