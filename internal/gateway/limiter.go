package gateway

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"
	"k8s.io/utils/clock"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

const (
	// maxSources bounds the table; beyond it the sources nobody heard of for longest share.
	maxSources = 1 << 16
	// sourceIdle is how long a source is remembered after its last call. Any bucket is full
	// again by then.
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
	swept   time.Time
}

type buckets struct {
	begins, calls *rate.Limiter
	seen          time.Time
}

func newCallLimiter(limits Limits, clock clock.PassiveClock, metrics *Metrics) *callLimiter {
	return &callLimiter{limits: limits, clock: clock, metrics: metrics, sources: map[netip.Prefix]*buckets{}}
}

// tap is a tap.ServerInHandle.
func (l *callLimiter) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	var from netip.Addr
	if p, ok := grpcpeer.FromContext(ctx); ok {
		from = addressOf(p.Addr)
	}
	wait := l.take(peer.Source(from), info.FullMethodName == gatewayv1.PairingService_BeginPairingSession_FullMethodName)
	if wait == 0 {
		return ctx, nil
	}
	l.metrics.refuse(pairingListener, "TooManyCalls")
	return nil, tooMany(wait)
}

// take is zero when the call may pass, else how long to wait.
func (l *callLimiter) take(from netip.Prefix, begin bool) time.Duration {
	now := l.clock.Now()
	l.mu.Lock()
	b := l.bucketsOf(from, now)
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

// bucketsOf finds or makes the buckets of a source; l.mu is held.
func (l *callLimiter) bucketsOf(from netip.Prefix, now time.Time) *buckets {
	if b, ok := l.sources[from]; ok {
		b.seen = now
		return b
	}
	if len(l.sources) >= maxSources {
		l.sweep(now)
	}
	if len(l.sources) >= maxSources {
		from = netip.Prefix{}
		if b, ok := l.sources[from]; ok {
			b.seen = now
			return b
		}
	}
	b := &buckets{
		begins: rate.NewLimiter(rate.Limit(l.limits.BeginsPerSecond), l.limits.BeginBurst),
		calls:  rate.NewLimiter(rate.Limit(l.limits.CallsPerSecond), l.limits.CallBurst),
		seen:   now,
	}
	l.sources[from] = b
	return b
}

// sweep forgets idle sources, at most once a second.
func (l *callLimiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Second {
		return
	}
	l.swept = now
	for from, b := range l.sources {
		if now.Sub(b.seen) > sourceIdle {
			delete(l.sources, from)
		}
	}
}

// tooMany tells when to come back.
func tooMany(wait time.Duration) error {
	refused := status.New(codes.ResourceExhausted, "too many calls from this address; wait before the next one")
	if detailed, err := refused.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)}); err == nil {
		refused = detailed
	}
	return refused.Err()
}
