package certificates

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

const (
	// paceBurst requests of one Node may come at once (a lost answer, a rotation after a
	// renewal), then one every paceEvery: each costs two writes and a signature.
	paceBurst = 8
	paceEvery = 20 * time.Second
	// paceSweep is the size of the table at which the forgettable are looked for.
	paceSweep = 1024
)

// pace limits requests per Node, so that a hostile machine costs only itself. The table
// is bounded by the number of Nodes that ask within a few minutes.
type pace struct {
	clock clock.PassiveClock

	mu    sync.Mutex
	nodes map[types.UID]*rate.Limiter
	next  int // size of the table at which to sweep
}

func newPace(clock clock.PassiveClock) *pace {
	return &pace{clock: clock, nodes: map[types.UID]*rate.Limiter{}, next: paceSweep}
}

func (p *pace) take(node types.UID) error {
	now := p.clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.nodes) >= p.next {
		p.sweep(now)
	}
	limiter, ok := p.nodes[node]
	if !ok {
		limiter = rate.NewLimiter(rate.Every(paceEvery), paceBurst)
		p.nodes[node] = limiter
	}
	if !limiter.AllowN(now, 1) {
		return status.Errorf(codes.ResourceExhausted, "too many certificate requests for this Node; wait %s before the next one", paceEvery)
	}
	return nil
}

// sweep forgets Nodes whose bucket is full.
func (p *pace) sweep(now time.Time) {
	for node, limiter := range p.nodes {
		if limiter.TokensAt(now) >= paceBurst {
			delete(p.nodes, node)
		}
	}
	p.next = max(paceSweep, 2*len(p.nodes))
}
