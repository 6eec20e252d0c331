package gateway

import (
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// quota allows burst uses at once, then one use in each interval.
type quota struct {
	burst int
	every time.Duration
}

// quotaKey names a budget. It holds the Node and no key, connection or session: a machine that
// rotates its key or dials again has the same budget.
type quotaKey struct {
	namespace, node string
	// unpinned separates callers whose key is not pinned, so that they use no budget of the Node's
	// machine.
	unpinned bool
	use      string // a full method name, or one of the uses below
}

// Uses of the node listener that are not methods.
const (
	useConnection   = "connection"
	useUnpinnedCall = "stray call"
)

// quotasSweep is the number of entries at which the first sweep runs.
const quotasSweep = 1024

// quotas holds the budgets of the Nodes that have used a part of theirs. It deletes a budget that
// is whole again. An entry is one time, so idle machines cost nothing.
type quotas struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	fullAt  map[quotaKey]time.Time // when the whole burst is available again
	sweepAt int                    // number of entries at which the next sweep runs
}

func newQuotas(c clock.PassiveClock) *quotas {
	return &quotas{clock: c, fullAt: map[quotaKey]time.Time{}, sweepAt: quotasSweep}
}

// take takes one use from the budget and returns 0, or returns how long the caller must wait.
func (q *quotas) take(key quotaKey, allowed quota) time.Duration {
	now := q.clock.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	wholeAt := q.fullAt[key]
	if wholeAt.Before(now) {
		wholeAt = now
	}
	next := wholeAt.Add(allowed.every)
	if wait := next.Sub(now) - time.Duration(allowed.burst)*allowed.every; wait > 0 {
		return wait
	}
	if len(q.fullAt) >= q.sweepAt {
		q.sweep(now)
	}
	q.fullAt[key] = next
	return 0
}

// sweep deletes the budgets that are whole again; q.mu is held.
func (q *quotas) sweep(now time.Time) {
	for key, wholeAt := range q.fullAt {
		if !wholeAt.After(now) {
			delete(q.fullAt, key)
		}
	}
	q.sweepAt = max(quotasSweep, 2*len(q.fullAt))
}

// nodeQuotaKey returns the budget key of the caller's Node for a use.
func nodeQuotaKey(id peer.Identity, unpinned bool, use string) quotaKey {
	return quotaKey{namespace: id.ID.Namespace, node: id.ID.Node, unpinned: unpinned, use: use}
}
