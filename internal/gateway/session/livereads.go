package session

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/ratelimit"
)

// Bounds of the live reads for callers whose key the cached Node does not pin. Such a caller is a
// machine that has just paired or rotated, or a machine that will be refused.
const (
	liveReadInterval = 2 * time.Second
	liveReadsBurst   = 10
	// maxLiveReadNodes bounds the Nodes with a budget.
	maxLiveReadNodes = 1 << 16
)

// liveReads holds the budget of each Node for live reads on behalf of callers that the cached
// Node refuses.
type liveReads struct {
	budgets *ratelimit.Keyed[types.NamespacedName]
}

func newLiveReads(c clock.PassiveClock) liveReads {
	return liveReads{ratelimit.New[types.NamespacedName](c, maxLiveReadNodes)}
}

// allow takes one read from the budget of a Node and reports whether it was available.
func (r liveReads) allow(key types.NamespacedName) bool {
	return r.budgets.Take(key, ratelimit.Rate{Burst: liveReadsBurst, Every: liveReadInterval}) == 0
}
