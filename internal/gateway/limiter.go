package gateway

import (
	"context"
	"net/netip"
	"time"

	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/gateway/ratelimit"
)

// maxSources bounds the addresses with a budget of each kind.
const maxSources = 1 << 16

// callLimiter limits the calls of the pairing listener per source. It runs before the
// stream of a call exists: nothing is parsed or locked for a call beyond the limit.
type callLimiter struct {
	beginRate, callRate ratelimit.Rate
	begins, calls       *ratelimit.Keyed[netip.Prefix]
	metrics             *Metrics
}

func newCallLimiter(limits Limits, c clock.PassiveClock, metrics *Metrics) *callLimiter {
	return &callLimiter{
		beginRate: ratelimit.PerSecond(limits.BeginsPerSecond, limits.BeginBurst),
		callRate:  ratelimit.PerSecond(limits.CallsPerSecond, limits.CallBurst),
		begins:    ratelimit.New[netip.Prefix](c, maxSources),
		calls:     ratelimit.New[netip.Prefix](c, maxSources),
		metrics:   metrics,
	}
}

// tap checks the limits of a call. It is a tap.ServerInHandle.
func (l *callLimiter) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return ctx, nil // The interceptors refuse it.
	}
	proven, ok := p.AuthInfo.(authInfo)
	if !ok || proven.refusedCalls == nil {
		return ctx, nil // The interceptors refuse it.
	}
	if err := proven.refusedCalls.closeIfTooMany(l.metrics, pairingListener); err != nil {
		return nil, err
	}
	address := addressOf(p.Addr)
	wait := l.take(peer.Source(address), methods[info.FullMethodName].bySource == beginsOfSource)
	if wait == 0 {
		proven.refusedCalls.reset()
		return ctx, nil
	}
	proven.refusedCalls.count()
	l.metrics.countRefused(pairingListener, reasonTooManyCalls)
	return nil, denial.RateLimited(wait, "too many calls from this address; wait before the next one")
}

// take returns zero when the call may pass, and otherwise the time to wait.
func (l *callLimiter) take(from netip.Prefix, begin bool) time.Duration {
	if begin {
		return l.begins.Take(from, l.beginRate)
	}
	return l.calls.Take(from, l.callRate)
}
