package gateway

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/denial"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

const (
	// maxSources bounds the table. In a full table a new source replaces the source that called
	// longest ago. One shared bucket for new sources would let a flood block all of them.
	maxSources = 1 << 16
	// sourceIdle is how long a source is remembered after its last call. Its buckets are full again
	// by then.
	sourceIdle = 5 * time.Minute
)

// callLimiter limits the calls of the pairing listener per source. It runs before the
// stream of a call exists: nothing is parsed or locked for a call beyond the limit.
type callLimiter struct {
	limits  Limits
	clock   clock.PassiveClock
	metrics *Metrics

	mu      sync.Mutex
	sources map[netip.Prefix]*buckets
	recent  *list.List // the keys of sources, the most recent caller in front
}

type buckets struct {
	begins, calls *rate.Limiter
	seen          time.Time
	element       *list.Element // in callLimiter.recent
}

func newCallLimiter(limits Limits, clock clock.PassiveClock, metrics *Metrics) *callLimiter {
	return &callLimiter{limits: limits, clock: clock, metrics: metrics, sources: map[netip.Prefix]*buckets{}, recent: list.New()}
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
	now := l.clock.Now()
	l.mu.Lock()
	b := l.bucketsFor(from, now)
	l.mu.Unlock()
	bucket := b.calls
	if begin {
		bucket = b.begins
	}
	reservation := bucket.ReserveN(now, 1)
	if wait := reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return wait
	}
	return 0
}

// bucketsFor returns the buckets of a source and creates them if necessary; l.mu is held.
func (l *callLimiter) bucketsFor(from netip.Prefix, now time.Time) *buckets {
	if b, ok := l.sources[from]; ok {
		b.seen = now
		l.recent.MoveToFront(b.element)
		return b
	}
	l.evict(now)
	b := &buckets{
		begins:  rate.NewLimiter(rate.Limit(l.limits.BeginsPerSecond), l.limits.BeginBurst),
		calls:   rate.NewLimiter(rate.Limit(l.limits.CallsPerSecond), l.limits.CallBurst),
		seen:    now,
		element: l.recent.PushFront(from),
	}
	l.sources[from] = b
	return b
}

// evict removes idle sources and, from a full table, the source that called longest ago. Each
// source is removed once, so a new source costs constant time on average.
func (l *callLimiter) evict(now time.Time) {
	for oldest := l.recent.Back(); oldest != nil; oldest = l.recent.Back() {
		from, _ := oldest.Value.(netip.Prefix)
		if len(l.sources) < maxSources && now.Sub(l.sources[from].seen) <= sourceIdle {
			return
		}
		l.recent.Remove(oldest)
		delete(l.sources, from)
	}
}
