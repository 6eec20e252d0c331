package gateway

import (
	"net/netip"
	"testing"
	"time"
)

// newTestConn returns a connection of an address.
func newTestConn(address string, accepted time.Time) *limitedConn {
	return &limitedConn{source: netip.MustParsePrefix(address + "/32"), accepted: accepted}
}

// fillProven takes slots of the listener with proven connections of sources that are not
// remembered.
func fillProven(t *testing.T, p *connSlots, count int, now time.Time) {
	t.Helper()
	for i := range count {
		c := newTestConn(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String(), now)
		if victim, ok := p.acquire(c, now); victim != nil || !ok {
			t.Fatalf("connection %d of %d has no place", i, count)
		}
		p.markProven(c)
	}
}

func TestReservedPlacesAreForSourcesWithAnAdmittedRequest(t *testing.T) {
	now := time.Now()
	const invited = "192.0.2.1"
	p := newConnSlots(4, 10, 3)
	fillProven(t, p, 7, now)
	if victim, ok := p.acquire(newTestConn("192.0.2.9", now), now); ok || victim != nil {
		t.Fatalf("a source without a proof got a reserved place (%v), for %v", ok, victim)
	}
	p.rememberProven(newTestConn(invited, now).source, now)
	for i := range 3 {
		if victim, ok := p.acquire(newTestConn(invited, now), now); !ok || victim != nil {
			t.Fatalf("reserved place %d is not free for a source with a proof: %v, %v", i, ok, victim)
		}
	}
	if _, ok := p.acquire(newTestConn("192.0.2.9", now), now); ok {
		t.Error("a source without a proof got a place of a full listener, or a reserved place")
	}
	late := now.Add(provenFor)
	p = newConnSlots(4, 10, 3)
	p.rememberProven(newTestConn(invited, now).source, now)
	fillProven(t, p, 7, now)
	if _, ok := p.acquire(newTestConn(invited, late), late); ok {
		t.Error("a source with a proof is remembered after provenFor")
	}
}

func TestAFullListenerClosesTheOldestOfTheSourceWithMost(t *testing.T) {
	now := time.Now()
	at := func(seconds int) time.Time { return now.Add(time.Duration(seconds) * time.Second) }
	for _, test := range []struct {
		name   string
		before []*limitedConn
		proven int // index in before, -1 for none
		comes  *limitedConn
		victim int // index in before, -1 for none
		ok     bool
	}{
		{"there is room", []*limitedConn{newTestConn("192.0.2.1", at(0))}, -1, newTestConn("192.0.2.2", at(9)), -1, true},
		{"of the source with most", []*limitedConn{newTestConn("192.0.2.1", at(0)), newTestConn("192.0.2.2", at(1)), newTestConn("192.0.2.2", at(2))}, -1, newTestConn("192.0.2.3", at(9)), 1, true},
		{"of equal ones the oldest", []*limitedConn{newTestConn("192.0.2.1", at(2)), newTestConn("192.0.2.2", at(1)), newTestConn("192.0.2.3", at(3))}, -1, newTestConn("192.0.2.4", at(9)), 1, true},
		{"not a proven one", []*limitedConn{newTestConn("192.0.2.1", at(0)), newTestConn("192.0.2.1", at(1)), newTestConn("192.0.2.2", at(2))}, 0, newTestConn("192.0.2.3", at(9)), 1, true},
		{"a source makes room for itself", []*limitedConn{newTestConn("192.0.2.1", at(0)), newTestConn("192.0.2.1", at(1))}, -1, newTestConn("192.0.2.1", at(9)), 0, true},
		{"all of a source are proven", []*limitedConn{newTestConn("192.0.2.1", at(0)), newTestConn("192.0.2.1", at(1))}, 0, newTestConn("192.0.2.1", at(9)), 1, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newConnSlots(2, 3, 0)
			for i, c := range test.before {
				if _, ok := p.acquire(c, c.accepted); !ok {
					t.Fatalf("connection %d has no place", i)
				}
			}
			if test.proven >= 0 {
				p.markProven(test.before[test.proven])
			}
			victim, ok := p.acquire(test.comes, test.comes.accepted)
			if ok != test.ok {
				t.Errorf("take = %v, want %v", ok, test.ok)
			}
			for i, c := range test.before {
				if (c == victim) != (i == test.victim) {
					t.Errorf("connection %d: victim %v, want %v", i, c == victim, i == test.victim)
				}
			}
			if p.all > p.total {
				t.Errorf("%d connections have a place, of %d", p.all, p.total)
			}
		})
	}
}

func TestASourceHasExactlyItsPlaces(t *testing.T) {
	now := time.Now()
	p := newConnSlots(2, 9, 0)
	for i, want := range []bool{true, true, false} {
		c := newTestConn("192.0.2.1", now)
		if victim, ok := p.acquire(c, now); ok != want || victim != nil {
			t.Errorf("connection %d: %v, closes %v", i, ok, victim)
		}
		p.markProven(c)
	}
	// A full listener has no slot for any source, with or without a proof.
	p = newConnSlots(9, 3, 1)
	p.rememberProven(newTestConn("192.0.2.1", now).source, now)
	for i, want := range []bool{true, true, true, false} {
		c := newTestConn("192.0.2.1", now)
		if victim, ok := p.acquire(c, now); ok != want || victim != nil {
			t.Errorf("connection %d of a source with a proof: %v, closes %v", i, ok, victim)
		}
		p.markProven(c)
	}
}

func TestAPlaceIsGivenBackOnce(t *testing.T) {
	now := time.Now()
	p := newConnSlots(9, 9, 0)
	all := []*limitedConn{newTestConn("192.0.2.1", now), newTestConn("192.0.2.1", now), newTestConn("192.0.2.1", now)}
	for _, c := range all {
		p.acquire(c, now)
	}
	own := p.sources[all[0].source]
	p.markProven(all[0])
	for i, want := range []struct{ all, waiting int }{{2, 2}, {1, 1}, {0, 0}} {
		p.release(all[i])
		p.release(all[i])
		if p.all != want.all || own.all != want.all || own.waiting.Len() != want.waiting {
			t.Errorf("after %d are closed: %d have a place, %d of the source, %d wait", i+1, p.all, own.all, own.waiting.Len())
		}
	}
	if len(p.sources) != 0 {
		t.Error("a source without connections is remembered")
	}
}

func TestTheOldestAdmissionIsForgottenForANewOne(t *testing.T) {
	now := time.Now()
	p := newConnSlots(9, 9, 0)
	number := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
	}
	for i := range maxProvenSources {
		p.rememberProven(number(i), now)
	}
	if p.rememberProven(number(0), now); !p.isProven(number(1), now) || len(p.proven) != maxProvenSources {
		t.Error("a second proof of a source removes another source")
	}
	if p.rememberProven(number(maxProvenSources), now); p.isProven(number(1), now) || !p.isProven(number(0), now) || len(p.proven) != maxProvenSources || p.recent.Len() != maxProvenSources {
		t.Errorf("%d sources with a proof are remembered, the oldest: %t", len(p.proven), p.isProven(number(1), now))
	}
}

// Sources are visited in random order.
func TestOfEqualSourcesTheOldestConnectionIsClosed(t *testing.T) {
	now := time.Now()
	for range 50 {
		p := newConnSlots(1, 4, 0)
		var all []*limitedConn
		for i, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"} {
			all = append(all, newTestConn(address, now.Add(time.Duration(i)*time.Second)))
			p.acquire(all[i], now)
		}
		if victim, _ := p.acquire(newTestConn("192.0.2.5", now), now.Add(time.Minute)); victim != all[0] {
			t.Fatalf("%v is closed, want the oldest", victim)
		}
	}
}

// A machine that has just begun to pair keeps its place for a short time.
func TestAConnectionThatGotAheadIsNotTheVictim(t *testing.T) {
	now := time.Now()
	p := newConnSlots(1, 1, 0)
	c := newTestConn("192.0.2.1", now)
	if _, ok := p.acquire(c, now); !ok {
		t.Fatal("no place")
	}
	p.markAdvanced(c, now)
	if victim, ok := p.acquire(newTestConn("192.0.2.2", now), now.Add(advanceGrace)); ok || victim != nil {
		t.Errorf("it was closed for another one: %v, %v", victim, ok)
	}
	later := now.Add(advanceGrace + time.Millisecond)
	if victim, ok := p.acquire(newTestConn("192.0.2.2", later), later); !ok || victim != c {
		t.Errorf("it keeps its place for ever: %v, %v", victim, ok)
	}
}
