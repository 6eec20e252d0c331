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
	// paceBurst is the number of requests that one Node may send at once, because of a lost answer
	// or a rotation after a renewal. After that it may send one in each paceEvery. Each request
	// costs two writes and a signature.
	paceBurst = 8
	paceEvery = 20 * time.Second
	// paceSweep is the size of the table at which the first sweep runs.
	paceSweep = 1024
)

// pace limits the requests of each Node, so that a hostile machine harms only itself. The number of
// Nodes that send requests within a few minutes bounds the table.
type pace struct {
	clock clock.PassiveClock

	mu    sync.Mutex
	nodes map[types.UID]*rate.Limiter
	next  int // size of the table at which the next sweep runs
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

// sweep removes Nodes whose bucket is full.
func (p *pace) sweep(now time.Time) {
	for node, limiter := range p.nodes {
		if limiter.TokensAt(now) >= paceBurst {
			delete(p.nodes, node)
		}
	}
	p.next = max(paceSweep, 2*len(p.nodes))
}
