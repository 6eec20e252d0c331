package gateway

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// receiveBudget bounds the unfinished bytes of all connections of a listener. Beyond the limit it
// closes the connection with most bytes, of the source with most bytes.
type receiveBudget struct {
	listener         string
	limit            int64
	perConnection    int
	headers, message time.Duration // longest time of an unfinished one
	metrics          *Metrics

	total atomic.Int64

	mu          sync.Mutex
	connections map[*meteredConn]struct{}
}

func newReceiveBudget(listener string, bounds receiveBounds, metrics *Metrics) *receiveBudget {
	return &receiveBudget{
		listener: listener, limit: int64(bounds.total), perConnection: bounds.perConnection,
		headers: bounds.headers, message: bounds.message, metrics: metrics, connections: map[*meteredConn]struct{}{},
	}
}

// closeLargest closes connections until the others are within the budget.
func (b *receiveBudget) closeLargest() {
	for b.total.Load() > b.limit {
		c := b.largest()
		if c == nil {
			return
		}
		b.metrics.countRefused(b.listener, reasonReceiveBudget)
		_ = c.raw.Close()
	}
}

// largest returns the connection with most bytes, of the source with most bytes.
func (b *receiveBudget) largest() (largest *meteredConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bySource, source := map[netip.Prefix]int{}, netip.Prefix{}
	for c := range b.connections {
		bySource[c.raw.source] += c.unfinishedBytes()
		if bySource[c.raw.source] > bySource[source] {
			source = c.raw.source
		}
	}
	most := 0
	for c := range b.connections {
		if unfinished := c.unfinishedBytes(); c.raw.source == source && unfinished > most {
			largest, most = c, unfinished
		}
	}
	return largest
}

// closeLate closes connections on which a part has been unfinished for too long.
func (b *receiveBudget) closeLate(now time.Time) {
	b.mu.Lock()
	var late []*meteredConn
	for c := range b.connections {
		if c.isLate(now, b.headers, b.message) {
			late = append(late, c)
		}
	}
	b.mu.Unlock()
	for _, c := range late {
		b.metrics.countRefused(b.listener, reasonReceiveTimeout)
		_ = c.raw.Close()
	}
}

// add counts the unfinished bytes of a connection until it is removed.
func (b *receiveBudget) add(c *meteredConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.connections[c] = struct{}{}
}

// remove stops counting a connection that is closed.
func (b *receiveBudget) remove(c *meteredConn) {
	b.mu.Lock()
	delete(b.connections, c)
	b.mu.Unlock()
	c.stopCounting()
}
