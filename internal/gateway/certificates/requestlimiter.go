package certificates

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/denial"
)

const (
	// requestBurst is the number of requests that one Node may send at once, because of a lost answer
	// or a rotation after a renewal. After that it may send one in each requestInterval. Each request
	// costs two writes and a signature.
	requestBurst    = 8
	requestInterval = 20 * time.Second
	// minSweepSize is the size of the table at which the first sweep runs.
	minSweepSize = 1024
)

// requestLimiter limits the requests of each Node, so that a hostile machine harms only itself. The
// number of Nodes that send requests within a few minutes bounds the table.
type requestLimiter struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	nodes   map[types.UID]*rate.Limiter
	sweepAt int // size of the table at which the next sweep runs
}

func newRequestLimiter(clock clock.PassiveClock) *requestLimiter {
	return &requestLimiter{clock: clock, nodes: map[types.UID]*rate.Limiter{}, sweepAt: minSweepSize}
}

func (p *requestLimiter) take(node types.UID) error {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.nodes) >= p.sweepAt {
		p.sweep(now)
	}
	limiter, ok := p.nodes[node]
	if !ok {
		limiter = rate.NewLimiter(rate.Every(requestInterval), requestBurst)
		p.nodes[node] = limiter
	}
	if !limiter.AllowN(now, 1) {
		return denial.Newf(codes.ResourceExhausted, gatewayv1.ReasonRateLimited, "too many certificate requests for this Node; wait %s before the next one", requestInterval)
	}
	return nil
}

// sweep removes Nodes whose bucket is full.
func (p *requestLimiter) sweep(now time.Time) {
	for node, limiter := range p.nodes {
		if limiter.TokensAt(now) >= requestBurst {
			delete(p.nodes, node)
		}
	}
	p.sweepAt = max(minSweepSize, 2*len(p.nodes))
}
