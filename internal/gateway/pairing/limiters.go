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

// globalLimiter is the limit over all addresses, after the limit per address. It does not look at
// the code, so a code that exists is answered no more often than an invented one.
type globalLimiter struct {
	clock         clock.PassiveClock
	all, reserved *rate.Limiter

	mu        sync.Mutex
	beginners map[netip.Prefix]beginner
}

// beginner counts the recent begins of an address.
type beginner struct {
	count int
	since time.Time
}

func newGlobalLimiter(clock clock.PassiveClock, perSecond int) *globalLimiter {
	return &globalLimiter{
		clock:     clock,
		all:       rate.NewLimiter(rate.Limit(perSecond), 3*perSecond),
		reserved:  rate.NewLimiter(reservedPerSecond, reservedBurst),
		beginners: map[netip.Prefix]beginner{},
	}
}

// allow reports whether an address may begin. When the common share is used up, an address without
// recent begins may use the whole reserve. Other addresses may use only the upper parts of it.
func (f *globalLimiter) allow(from netip.Prefix) bool {
	now := f.clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.beginners[from]
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
func (f *globalLimiter) remember(from netip.Prefix, known beginner, now time.Time) {
	if _, ok := f.beginners[from]; !ok && len(f.beginners) >= maxBeginners {
		f.evict(now)
	}
	f.beginners[from] = known
}

// evict removes one address. Of a few arbitrary addresses it takes the one with the fewest begins,
// or one whose begins no longer count.
func (f *globalLimiter) evict(now time.Time) {
	const few = 8
	var least netip.Prefix
	looked, fewest := 0, beginner{}
	for from, known := range f.beginners {
		if now.Sub(known.since) > beginWindow {
			delete(f.beginners, from)
			return
		}
		if looked == 0 || known.count < fewest.count {
			least, fewest = from, known
		}
		if looked++; looked == few {
			break
		}
	}
	delete(f.beginners, least)
}

const (
	// maxFailures is the number of wrong confirmations from one address within failureWindow that
	// block the address for blockDuration. This number of failures uses up all tries of five codes.
	// People who mistype cause fewer.
	maxFailures   = 15
	failureWindow = 10 * time.Minute
	blockDuration = 10 * time.Minute
	// maxFailureRecords bounds the table. Each entry has cost its address a try of a real code.
	maxFailureRecords = 1 << 14
)

// failureTracker counts the wrong confirmations of each address and blocks addresses.
type failureTracker struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	bySource map[netip.Prefix]failureRecord
}

type failureRecord struct {
	count        int
	since        time.Time
	blockedUntil time.Time // end of the block
}

func newFailureTracker(clock clock.PassiveClock) *failureTracker {
	return &failureTracker{clock: clock, bySource: map[netip.Prefix]failureRecord{}}
}

// blockedFor returns how long the address stays blocked, and zero when it is not.
func (o *failureTracker) blockedFor(from netip.Prefix) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return max(0, o.bySource[from].blockedUntil.Sub(o.clock.Now()))
}

// add counts one wrong confirmation.
func (o *failureTracker) add(from netip.Prefix) {
	now := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.bySource) >= maxFailureRecords {
		o.sweep(now)
	}
	entry := o.bySource[from]
	if now.Sub(entry.since) > failureWindow {
		entry = failureRecord{since: now, blockedUntil: entry.blockedUntil}
	}
	entry.count++
	if entry.count >= maxFailures {
		entry = failureRecord{since: now, blockedUntil: now.Add(blockDuration)}
	}
	if len(o.bySource) < maxFailureRecords {
		o.bySource[from] = entry
	}
}

func (o *failureTracker) sweep(now time.Time) {
	for from, entry := range o.bySource {
		if now.After(entry.blockedUntil) && now.Sub(entry.since) > failureWindow {
			delete(o.bySource, from)
		}
	}
}
