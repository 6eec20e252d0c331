package pairing

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
)

const (
	// defaultBegins bounds the exchanges per second of all addresses together, because each makes
	// the gateway read from the apiserver. Tokens of in-cluster agents have a separate limit of the
	// same size.
	defaultBegins = 100
	// reservedPerSecond and reservedBurst are reserved for addresses that have begun little, so
	// that a flood does not shut out invited machines.
	reservedPerSecond = 50
	reservedBurst     = 200
	// beginWindow is how long the begins of an address count. reservedLevels is the number of
	// begins that push an address to the back: with each begin the reserve has to be fuller for the
	// next one.
	beginWindow    = 10 * time.Minute
	reservedLevels = 4
	// maxBeginners bounds the table of addresses.
	maxBeginners = 1 << 14
)

// flood is the limit over all addresses, after the limit per address. It does not look at the code,
// so a code that exists is answered no more often than an invented one.
type flood struct {
	clock         clock.PassiveClock
	all, reserved *rate.Limiter

	mu  sync.Mutex
	who map[netip.Prefix]beginner
}

// beginner counts the recent begins of an address.
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

// admit reports whether an address may begin. When the common share is used up, an address without
// recent begins may use the whole reserve. Other addresses may use only the upper parts of it.
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

// remember stores the begins of an address. In a full table it removes another address first.
func (f *flood) remember(from netip.Prefix, known beginner, now time.Time) {
	if _, ok := f.who[from]; !ok && len(f.who) >= maxBeginners {
		f.forget(now)
	}
	f.who[from] = known
}

// forget removes one address. Of a few arbitrary addresses it takes the one with the fewest begins,
// or one whose begins no longer count.
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
	// maxOffences is the number of wrong confirmations from one address within offenceWindow that
	// block the address for blockTime. So many burn five codes. People who mistype send fewer.
	maxOffences   = 15
	offenceWindow = 10 * time.Minute
	blockTime     = 10 * time.Minute
	// maxOffenders bounds the table. Each entry has cost its address a try of a real code.
	maxOffenders = 1 << 14
)

// offences counts the wrong confirmations of each address and blocks addresses.
type offences struct {
	clock clock.PassiveClock

	mu  sync.Mutex
	who map[netip.Prefix]offender
}

type offender struct {
	count   int
	since   time.Time
	blocked time.Time // end of the block
}

func newOffences(clock clock.PassiveClock) *offences {
	return &offences{clock: clock, who: map[netip.Prefix]offender{}}
}

// blocked returns how long the address stays blocked, and zero when it is not.
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
