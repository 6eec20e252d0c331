package pairing

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
)

const (
	// defaultBegins bounds what all addresses together make us read from the apiserver, in
	// exchanges a second; tokens of in-cluster agents have as many of their own.
	defaultBegins = 100
	// reservedPerSecond and reservedBurst are kept for addresses that have begun little, so a flood
	// does not shut out the invited.
	reservedPerSecond = 50
	reservedBurst     = 200
	// beginWindow is how long the begins of an address count, reservedLevels how many of them push it
	// to the back: with each the reserve has to be fuller for one more.
	beginWindow    = 10 * time.Minute
	reservedLevels = 4
	// maxBeginners bounds the table of addresses.
	maxBeginners = 1 << 14
)

// flood is the limit over all addresses, after the one per address. It does not look at the code: a
// code that exists is answered no more often than an invented one.
type flood struct {
	clock         clock.PassiveClock
	all, reserved *rate.Limiter

	mu  sync.Mutex
	who map[netip.Prefix]beginner
}

// beginner is an address with begins of late.
type beginner struct {
	count int
	since time.Time
}

func newFlood(clock clock.PassiveClock, perSecond int) *flood {
	return &flood{
		clock:    clock,
		all:      rate.NewLimiter(rate.Limit(perSecond), 3*perSecond),
		reserved: rate.NewLimiter(reservedPerSecond, reservedBurst),
		who:      map[netip.Prefix]beginner{},
	}
}

// admit reports whether an address may begin. When the common share is used up, an address that has
// not begun of late may use the whole reserve, and others only the upper parts of it.
func (f *flood) admit(from netip.Prefix) bool {
	now := f.clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.who[from]
	if now.Sub(known.since) > beginWindow {
		known = beginner{since: now}
	}
	if !f.all.AllowN(now, 1) {
		kept := reservedBurst * min(known.count, reservedLevels-1) / reservedLevels
		if f.reserved.TokensAt(now) < float64(kept+1) || !f.reserved.AllowN(now, 1) {
			return false
		}
	}
	known.count++
	f.remember(from, known, now)
	return true
}

// remember stores the exchanges that an address has begun; in a full table it takes the place of another.
func (f *flood) remember(from netip.Prefix, known beginner, now time.Time) {
	if _, ok := f.who[from]; !ok && len(f.who) >= maxBeginners {
		f.forget(now)
	}
	f.who[from] = known
}

// forget makes room for one address: of a few that come to hand, the one that has begun least.
func (f *flood) forget(now time.Time) {
	const few = 8
	var least netip.Prefix
	looked, fewest := 0, beginner{}
	for from, known := range f.who {
		if now.Sub(known.since) > beginWindow {
			delete(f.who, from)
			return
		}
		if looked == 0 || known.count < fewest.count {
			least, fewest = from, known
		}
		if looked++; looked == few {
			break
		}
	}
	delete(f.who, least)
}

const (
	// maxOffences wrong confirmations from one address within offenceWindow block it for
	// blockTime: five codes burnt. Fewer are people who mistype.
	maxOffences   = 15
	offenceWindow = 10 * time.Minute
	blockTime     = 10 * time.Minute
	// maxOffenders bounds the table: each entry cost its address a try of a real code.
	maxOffenders = 1 << 14
)

// offences remembers who burns codes.
type offences struct {
	clock clock.PassiveClock

	mu  sync.Mutex
	who map[netip.Prefix]offender
}

type offender struct {
	count   int
	since   time.Time
	blocked time.Time // until
}

func newOffences(clock clock.PassiveClock) *offences {
	return &offences{clock: clock, who: map[netip.Prefix]offender{}}
}

// blocked is how long the address stays blocked; zero when it is not.
func (o *offences) blocked(from netip.Prefix) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return max(0, o.who[from].blocked.Sub(o.clock.Now()))
}

// add counts one wrong confirmation.
func (o *offences) add(from netip.Prefix) {
	now := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.who) >= maxOffenders {
		o.sweep(now)
	}
	entry := o.who[from]
	if now.Sub(entry.since) > offenceWindow {
		entry = offender{since: now, blocked: entry.blocked}
	}
	entry.count++
	if entry.count >= maxOffences {
		entry = offender{since: now, blocked: now.Add(blockTime)}
	}
	if len(o.who) < maxOffenders {
		o.who[from] = entry
	}
}

func (o *offences) sweep(now time.Time) {
	for from, entry := range o.who {
		if now.After(entry.blocked) && now.Sub(entry.since) > offenceWindow {
			delete(o.who, from)
		}
	}
}
