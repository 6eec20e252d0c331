package session

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Bounds of the live reads for callers whose key the cached Node does not pin. Such a caller is a
// machine that has just paired or rotated, or a machine that will be refused.
const (
	liveReadInterval = 2 * time.Second
	liveReadsBurst   = 10
)

// liveReads holds the budget of each Node for live reads on behalf of callers that the cached
// Node refuses. A budget is deleted when it is completely available again.
type liveReads struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	byNode  map[types.NamespacedName]*rate.Limiter
	sweptAt time.Time
}

func newLiveReads(c clock.PassiveClock) *liveReads {
	return &liveReads{clock: c, byNode: map[types.NamespacedName]*rate.Limiter{}, sweptAt: c.Now()}
}

// allow takes one read from the budget of a Node and reports whether it was available.
func (r *liveReads) allow(key types.NamespacedName) bool {
	now := r.clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.sweptAt) > liveReadsBurst*liveReadInterval {
		r.sweptAt = now
		for key, limiter := range r.byNode {
			if limiter.TokensAt(now) >= liveReadsBurst {
				delete(r.byNode, key)
			}
		}
	}
	limiter := r.byNode[key]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(liveReadInterval), liveReadsBurst)
		r.byNode[key] = limiter
	}
	return limiter.AllowN(now, 1)
}
