package session

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// A machine may open a session every few seconds; an agent that redials with backoff never
// notices. Each opening costs the cluster a read, a list and a write.
const (
	openingsEvery  = 3 * time.Second
	openingsBurst  = 10
	openingsMemory = openingsBurst * openingsEvery
)

// openings is the budget of each Node for opening sessions. Budgets that have filled up
// again are forgotten.
type openings struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	byNode map[types.NamespacedName]*rate.Limiter
	swept  time.Time
}

func newOpenings(c clock.PassiveClock) *openings {
	return &openings{clock: c, byNode: map[types.NamespacedName]*rate.Limiter{}, swept: c.Now()}
}

// allow takes one opening from the budget of a Node.
func (o *openings) allow(key types.NamespacedName) bool {
	now := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.swept) > openingsMemory {
		o.swept = now
		for key, limiter := range o.byNode {
			if limiter.TokensAt(now) >= openingsBurst {
				delete(o.byNode, key)
			}
		}
	}
	limiter := o.byNode[key]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(openingsEvery), openingsBurst)
		o.byNode[key] = limiter
	}
	return limiter.AllowN(now, 1)
}
