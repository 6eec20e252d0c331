// Package ratelimit limits uses by key, such as the calls of one address or of one Node. [Keyed] is
// the limiter of the gateway for unknown callers and for machines.
//
// Some budgets are not a [Keyed], because they do something else:
//   - The allowance of a Node (package session) is shared by its sessions. It stays as long as one
//     of them lives, counts bytes, and its writes may exceed it and be returned.
//   - The limiter of all pairings together (package pairing) gives the rest of one common budget
//     first to addresses that began least.
//   - The failure tracker (package pairing) blocks an address for a fixed time. Its full table
//     forgets no block, so that a flood ends none.
//   - The registrations of package session, the exchanges of package pairing and the sources with a
//     proof in package gateway are tables of facts with a time to live.
//   - The sample of refused handshakes in the log has one budget for a listener, without keys.
package ratelimit

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// maxEvery is the longest interval of a [Rate] from [PerSecond].
const maxEvery = 24 * time.Hour

// Rate allows Burst uses at once, then one use in each interval of Every.
type Rate struct {
	Burst int
	Every time.Duration
}

// PerSecond returns the rate of n uses per second, and at least one a day.
func PerSecond(n float64, burst int) Rate {
	return Rate{Burst: burst, Every: time.Duration(min(float64(time.Second)/max(n, 0), float64(maxEvery)))}
}

// Keyed holds the budgets of the keys that have used a part of theirs. A budget that is whole again
// needs no memory, so idle keys cost nothing.
//
// The number of keys is bounded. In a full table a new key replaces the key that was used longest
// ago, which has its whole budget again. One shared budget for new keys would let a flood of them
// block everybody.
//
// A Keyed is safe for concurrent use.
type Keyed[K comparable] struct {
	clock   clock.PassiveClock
	maxKeys int

	mu    sync.Mutex
	byKey map[K]*budget[K]
	// ends is the element between the ends of the ring of budgets: ends.older is the budget that
	// was used last, and ends.newer the one that was used longest ago.
	ends budget[K]
}

// budget is the budget of one key.
type budget[K comparable] struct {
	key K
	// fullAt is the time at which the whole burst is available again.
	fullAt       time.Time
	newer, older *budget[K]
}

// New returns an empty Keyed for at most maxKeys keys.
func New[K comparable](c clock.PassiveClock, maxKeys int) *Keyed[K] {
	k := &Keyed[K]{clock: c, maxKeys: maxKeys, byKey: map[K]*budget[K]{}}
	k.ends.newer, k.ends.older = &k.ends, &k.ends
	return k
}

// Take takes one use from the budget of key and returns 0, or takes nothing and returns how long
// the caller must wait. Each call for a key must pass the same rate.
func (k *Keyed[K]) Take(key K, rate Rate) (wait time.Duration) {
	now := k.clock.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.byKey[key]
	if found != nil {
		found.unlink()
		found.linkAfter(&k.ends)
	}
	fullAt := now
	if found != nil && found.fullAt.After(now) {
		fullAt = found.fullAt
	}
	next := fullAt.Add(rate.Every)
	if wait := next.Sub(now) - time.Duration(rate.Burst)*rate.Every; wait > 0 {
		return wait
	}
	if found == nil {
		k.evict(now)
		found = &budget[K]{key: key}
		found.linkAfter(&k.ends)
		k.byKey[key] = found
	}
	found.fullAt = next
	return 0
}

// Len returns the number of keys in the table.
func (k *Keyed[K]) Len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.byKey)
}

// evict makes room for a key. It removes budgets that are whole again, from the key that was used
// longest ago to the first budget that is not whole, and that one too if the table is full. Each
// budget is removed once, so a new key costs constant time on average.
func (k *Keyed[K]) evict(now time.Time) {
	for oldest := k.ends.newer; oldest != &k.ends; oldest = k.ends.newer {
		if len(k.byKey) < k.maxKeys && oldest.fullAt.After(now) {
			return
		}
		oldest.unlink()
		delete(k.byKey, oldest.key)
	}
}

func (b *budget[K]) unlink() {
	b.newer.older, b.older.newer = b.older, b.newer
}

// linkAfter makes b the most recently used budget of the ring.
func (b *budget[K]) linkAfter(ends *budget[K]) {
	b.newer, b.older = ends, ends.older
	ends.older.newer, ends.older = b, b
}
