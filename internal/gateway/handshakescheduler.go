package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// handshakeScheduler bounds the number of connections between the grant of their turn and the end
// of their handshake. A connection that waits for its turn costs only its socket. The sources take
// turns, so that many connections of one source delay no other source.
type handshakeScheduler struct {
	maxActive, maxPerSource int
	bounds                  handshakeBounds
	begin                   func(*limitedConn) // serves a connection whose turn it is; it does not block

	mu       sync.Mutex
	active   map[*limitedConn]time.Time // the start of each turn
	bySource map[netip.Prefix]*sourceQueue
	ring     *list.List // of *sourceQueue that have connections waiting, the next in front
	stopped  bool
}

// sourceQueue holds the turns and the queue of one source.
type sourceQueue struct {
	source  netip.Prefix
	active  int
	waiting *list.List // of *limitedConn
	element *list.Element
}

func newHandshakeScheduler(bounds handshakeBounds, begin func(*limitedConn)) *handshakeScheduler {
	return &handshakeScheduler{
		maxActive: bounds.concurrent, maxPerSource: max(1, bounds.concurrent/2), bounds: bounds, begin: begin,
		active: map[*limitedConn]time.Time{}, bySource: map[netip.Prefix]*sourceQueue{}, ring: list.New(),
	}
}

// enqueue queues a connection for its turn, which may come at once.
func (t *handshakeScheduler) enqueue(c *limitedConn, now time.Time) {
	t.mu.Lock()
	queue := t.bySource[c.source]
	if queue == nil {
		queue = &sourceQueue{source: c.source, waiting: list.New()}
		t.bySource[c.source] = queue
	}
	c.queueElement = queue.waiting.PushBack(c)
	if queue.element == nil {
		queue.element = t.ring.PushBack(queue)
	}
	next := t.grantTurns(now)
	t.mu.Unlock()
	t.startAll(next)
	if c.isClosed() { // closed before it was in the queue
		t.release(c)
	}
}

// stop grants no more turns. It returns the connections that wait for a turn or for a first byte.
func (t *handshakeScheduler) stop() (ended []*limitedConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for c := range t.active {
		if !c.firstByteReceived.Load() {
			ended = append(ended, c)
		}
	}
	for e := t.ring.Front(); e != nil; e = e.Next() {
		queue, _ := e.Value.(*sourceQueue)
		for w := queue.waiting.Front(); w != nil; w = w.Next() {
			c, _ := w.Value.(*limitedConn)
			ended = append(ended, c)
		}
	}
	return ended
}

// release frees the turn of a connection for the next one, or removes the connection from the queue.
func (t *handshakeScheduler) release(c *limitedConn) {
	now := time.Now()
	t.mu.Lock()
	if queue := t.bySource[c.source]; queue != nil {
		if _, ok := t.active[c]; ok {
			delete(t.active, c)
			queue.active--
		} else if c.queueElement != nil {
			queue.waiting.Remove(c.queueElement)
			c.queueElement = nil
		}
		t.removeIdle(queue)
	}
	next := t.grantTurns(now)
	t.mu.Unlock()
	t.startAll(next)
}

func (t *handshakeScheduler) startAll(next []*limitedConn) {
	for _, c := range next {
		t.begin(c)
	}
}

// grantTurns gives the free turns to the sources in the ring; t.mu is held.
func (t *handshakeScheduler) grantTurns(now time.Time) (next []*limitedConn) {
	if t.stopped {
		return nil
	}
	for passed := 0; len(t.active) < t.maxActive && passed < t.ring.Len(); {
		queue, _ := t.ring.Front().Value.(*sourceQueue)
		if queue.active >= t.maxPerSource {
			t.ring.MoveToBack(queue.element)
			passed++
			continue
		}
		c, _ := queue.waiting.Remove(queue.waiting.Front()).(*limitedConn)
		c.queueElement = nil
		queue.active++
		t.active[c] = now
		next = append(next, c)
		passed = 0
		t.ring.MoveToBack(queue.element)
		t.removeIdle(queue)
	}
	return next
}

// removeIdle removes the state of a source that has no turns and no queue.
func (t *handshakeScheduler) removeIdle(queue *sourceQueue) {
	if queue.waiting.Len() == 0 && queue.element != nil {
		t.ring.Remove(queue.element)
		queue.element = nil
	}
	if queue.waiting.Len() == 0 && queue.active == 0 {
		delete(t.bySource, queue.source)
	}
}

// expired returns the connections that have exceeded their time in a turn or in the queue. A turn is
// shorter while other sources wait. Waiting connections of the same source shorten it only if
// bounds.countOwnSource is set.
func (t *handshakeScheduler) expired(now time.Time) (late []*limitedConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, since := range t.active {
		if now.Sub(since) > t.timeLimit(c) {
			late = append(late, c)
		}
	}
	for e := t.ring.Front(); e != nil; e = e.Next() {
		queue, _ := e.Value.(*sourceQueue)
		for w := queue.waiting.Front(); w != nil; w = w.Next() {
			c, _ := w.Value.(*limitedConn)
			if now.Sub(c.accepted) <= t.bounds.queue {
				break // those behind it came later
			}
			late = append(late, c)
		}
	}
	return late
}

// timeLimit returns the longest time that the turn of a connection may take; t.mu is held.
func (t *handshakeScheduler) timeLimit(c *limitedConn) time.Duration {
	others := t.ring.Len()
	if own := t.bySource[c.source]; own != nil && own.element != nil && !t.bounds.countOwnSource {
		others--
	}
	switch spoken := c.firstByteReceived.Load(); {
	case spoken && others > 0:
		return t.bounds.handshakeWhileOthersWait
	case spoken:
		return t.bounds.handshake
	case others > 0:
		return t.bounds.silentWhileOthersWait
	default:
		return t.bounds.silent
	}
}
