package gateway

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/gateway/ratelimit"
)

// refusedConnectionDelay is how long a connection beyond connectionQuota keeps its turn before it
// is closed. A handshake costs the gateway more than any refused call, and an address has few
// turns.
const refusedConnectionDelay = time.Second

var (
	// connectionQuota bounds the handshakes of a Node that reach HTTP/2.
	connectionQuota = ratelimit.Rate{Burst: 100, Every: 500 * time.Millisecond}
	// unpinnedQuota bounds all calls together of the callers that name a Node without its key.
	unpinnedQuota = ratelimit.Rate{Burst: 20, Every: 2 * time.Second}
)

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

// maxQuotas bounds the budgets of the node listener. A Node that calls has about four.
const maxQuotas = 1 << 18

// nodeLimiter limits the calls of the node listener by Node. It runs before the stream of a call
// exists: the request of a refused call is never read.
type nodeLimiter struct {
	quotas  *ratelimit.Keyed[quotaKey]
	metrics *Metrics
}

func newNodeLimiter(c clock.PassiveClock, metrics *Metrics) *nodeLimiter {
	return &nodeLimiter{quotas: ratelimit.New[quotaKey](c, maxQuotas), metrics: metrics}
}

// nodeConn is the record of a connection of the node listener. The authorizer decides whether the
// connection belongs to the pinned machine: at the handshake from its cache, then at each call.
type nodeConn struct {
	refusedCalls
	identity *peer.Identity
	unpinned atomic.Bool
}

// markAuthorized resets the record after a call of the pinned machine.
func (c *nodeConn) markAuthorized() {
	c.unpinned.Store(false)
	c.reset()
}

// countRefusal counts a refusal that the caller can avoid. It does not count an outage of the
// cluster.
func (c *nodeConn) countRefusal(err error) {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		c.unpinned.Store(true)
		c.count()
	case codes.ResourceExhausted:
		c.count()
	}
}

// takeConnection takes one connection from the budget of the Node.
func (l *nodeLimiter) takeConnection(c *nodeConn) error {
	wait := l.quotas.Take(nodeQuotaKey(*c.identity, c.unpinned.Load(), useConnection), connectionQuota)
	if wait == 0 {
		return nil
	}
	return denial.RateLimited(wait, "this machine connects too often; wait before the next connection")
}

// tap checks the budgets of a call. It is a tap.ServerInHandle.
func (l *nodeLimiter) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return ctx, nil // The interceptors refuse it.
	}
	proven, ok := p.AuthInfo.(authInfo)
	if !ok || proven.node == nil {
		return ctx, nil // The interceptors refuse it.
	}
	c := proven.node
	if err := c.closeIfTooMany(l.metrics, nodeListener); err != nil {
		return nil, err
	}
	use, allowed := info.FullMethodName, methods[info.FullMethodName].byNode
	if c.unpinned.Load() || allowed.Burst == 0 { // A method without a row is refused later.
		use, allowed = useUnpinnedCall, unpinnedQuota
	}
	wait := l.quotas.Take(nodeQuotaKey(*c.identity, c.unpinned.Load(), use), allowed)
	if wait == 0 {
		return ctx, nil
	}
	l.metrics.countRefused(nodeListener, reasonTooManyCalls)
	err := denial.RateLimited(wait, "too many calls of this machine; wait before the next one")
	c.countRefusal(err)
	return nil, err
}

// nodeQuotaKey returns the budget key of the caller's Node for a use.
func nodeQuotaKey(id peer.Identity, unpinned bool, use string) quotaKey {
	return quotaKey{namespace: id.ID.Namespace, node: id.ID.Node, unpinned: unpinned, use: use}
}
