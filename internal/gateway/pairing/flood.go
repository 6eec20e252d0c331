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
	// exchanges a second.
	defaultBegins = 100
	// reservedPerSecond and reservedBurst are kept for codes that exist and that nobody has
	// tried yet, so a flood does not shut out the invited.
	reservedPerSecond = 20
	reservedBurst     = 50
)

// flood is the limit over all addresses, after the one per address.
type flood struct {
	clock         clock.PassiveClock
	all, reserved *rate.Limiter
}

func newFlood(clock clock.PassiveClock, perSecond int) *flood {
	return &flood{
		clock:    clock,
		all:      rate.NewLimiter(rate.Limit(perSecond), 3*perSecond),
		reserved: rate.NewLimiter(reservedPerSecond, reservedBurst),
	}
}

// admit asks untried only when the common share is used up.
func (f *flood) admit(untried func() bool) bool {
	now := f.clock.Now()
	return f.all.AllowN(now, 1) || (untried() && f.reserved.AllowN(now, 1))
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
