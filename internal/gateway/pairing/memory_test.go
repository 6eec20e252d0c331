package pairing

import (
	"crypto/rand"
	"net/netip"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

var testTime = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func addExchange(t *testing.T, table *exchangeTable, exporter string) (string, bool) {
	t.Helper()
	id, ok, err := table.add(rand.Reader, exchange{exporter: []byte(exporter)})
	if err != nil {
		t.Fatal(err)
	}
	return id, ok
}

func TestASessionIsTakenOnceAndOnItsConnection(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	table := newExchangeTable(clock)
	id, _ := addExchange(t, table, "a")
	if _, ok := table.take(id, []byte("b")); ok {
		t.Error("another connection took the session")
	}
	if _, ok := table.take(id, []byte("a")); !ok {
		t.Error("its own connection did not get the session")
	}
	if _, ok := table.take(id, []byte("a")); ok {
		t.Error("the session was taken twice")
	}
	late, _ := addExchange(t, table, "a")
	clock.SetTime(testTime.Add(exchangeLifetime))
	if _, ok := table.take(late, []byte("a")); ok {
		t.Error("the session was taken after its end")
	}
}

func TestTheTableOfSessionsIsBounded(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	table := newExchangeTable(clock)
	for range maxPerConnection {
		if _, ok := addExchange(t, table, "a"); !ok {
			t.Fatal("refused below the bound of a connection")
		}
	}
	if _, ok := addExchange(t, table, "a"); ok {
		t.Error("a connection holds more than its share")
	}
	for n := 0; len(table.byID) < maxExchanges; n++ {
		addExchange(t, table, "c"+string(rune(n)))
	}
	if _, ok := addExchange(t, table, "b"); ok {
		t.Error("the table grew beyond its bound")
	}
	clock.SetTime(testTime.Add(exchangeLifetime))
	if _, ok := addExchange(t, table, "b"); !ok {
		t.Error("no room although every session is over")
	}
	if len(table.byID) != 1 || len(table.perConnection) != 1 {
		t.Errorf("%d sessions of %d connections are kept, want 1 of 1", len(table.byID), len(table.perConnection))
	}
}

func TestWrongCodesBlockAnAddressForAWhile(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	o := newFailureTracker(clock)
	burner, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for range maxFailures - 1 {
		o.add(burner)
	}
	clock.SetTime(testTime.Add(failureWindow + time.Second))
	o.add(burner)
	if o.blockedFor(burner) != 0 {
		t.Error("blocked because of wrong codes before offenceWindow")
	}
	for range maxFailures {
		o.add(burner)
	}
	if o.blockedFor(burner) <= 0 || o.blockedFor(other) != 0 {
		t.Errorf("the burner is blocked for %s, the neighbour for %s", o.blockedFor(burner), o.blockedFor(other))
	}
	clock.SetTime(clock.Now().Add(blockDuration))
	if o.blockedFor(burner) != 0 {
		t.Error("still blocked after the time")
	}
}

func numberedPrefix(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

// A flood from hundreds of addresses uses up the common share and the parts of the reserve for
// addresses that begin often. A new address is still admitted. The codes do not matter.
func TestAFloodLeavesTheReserveToNewcomers(t *testing.T) {
	clock := clocktesting.NewFakePassiveClock(testTime)
	f := newGlobalLimiter(clock, 100)
	const flooders = 268
	admitted, newcomers, refused := 0, 0, 0
	for tick := range 10 * 60 * 10 { // ten minutes, a tenth of a second each
		clock.SetTime(testTime.Add(time.Duration(tick) * 100 * time.Millisecond))
		for n := range flooders {
			if f.allow(numberedPrefix(n)) {
				admitted++
			}
		}
		if tick >= 50 && tick%10 == 0 { // each second another machine
			newcomers++
			if !f.allow(numberedPrefix(1<<16 + newcomers)) {
				refused++
			}
		}
	}
	t.Logf("%d begins of the flood were admitted", admitted)
	if refused > 0 {
		t.Errorf("%d of %d new addresses were refused", refused, newcomers)
	}
	if most := 10*60*(100+reservedPerSecond) + 300 + reservedBurst; admitted > most {
		t.Errorf("%d begins were admitted, want at most %d", admitted, most)
	}
}

// Begins from one address cost the other addresses nothing, with a valid code or without.
func TestOneAddressDoesNotUseUpTheReserve(t *testing.T) {
	f := newGlobalLimiter(clocktesting.NewFakePassiveClock(testTime), 1)
	for range 10_000 {
		f.allow(numberedPrefix(1))
	}
	if tokens := f.reserved.TokensAt(testTime); tokens < reservedBurst/reservedLevels {
		t.Errorf("%v of %d tokens of the reserve are left", tokens, reservedBurst)
	}
	for n := range reservedBurst / reservedLevels {
		if !f.allow(numberedPrefix(2 + n)) {
			t.Fatalf("new address %d is refused", n)
		}
	}
}

// In-cluster agents present a token. A flood of codes does not use up their share, and a flood of
// tokens does not use up the share of codes.
func TestInClusterAgentsHaveAShareOfTheirOwn(t *testing.T) {
	s := New(Options{Clock: clocktesting.NewFakePassiveClock(testTime)})
	for n := range 10_000 {
		s.exchangeLimiter.allow(numberedPrefix(n))
	}
	if s.exchangeLimiter.allow(numberedPrefix(20_000)) {
		t.Fatal("the flood has not used up its share")
	}
	if !s.tokenLimiter.allow(numberedPrefix(20_000)) {
		t.Error("a flood of codes shuts in-cluster agents out")
	}
}

func TestTheTableOfBeginnersIsBounded(t *testing.T) {
	f := newGlobalLimiter(clocktesting.NewFakePassiveClock(testTime), 1<<20)
	for n := range maxBeginners + 1000 {
		f.allow(numberedPrefix(n))
	}
	if len(f.beginners) > maxBeginners {
		t.Errorf("%d addresses are remembered, want at most %d", len(f.beginners), maxBeginners)
	}
}
