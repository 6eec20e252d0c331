package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// turns bounds the number of connections between the grant of their turn and the end of their
// handshake. A connection that waits for its turn costs only its socket. The sources take turns, so
// that many connections of one source delay no other source.
type turns struct {
	most, perSource int
	bounds          handshakeBounds
	begin           func(*limitedConn) // serves a connection whose turn it is; it does not block

	mu       sync.Mutex
	taken    map[*limitedConn]time.Time // the start of each turn
	bySource map[netip.Prefix]*sourceTurns
	ring     *list.List // of *sourceTurns that have connections waiting, the next in front
	stopped  bool
}

// sourceTurns holds the turns and the queue of one source.
type sourceTurns struct {
	source  netip.Prefix
	taken   int
	waiting *list.List // of *limitedConn
	place   *list.Element
}

func newTurns(bounds handshakeBounds, begin func(*limitedConn)) *turns {
	return &turns{
		most: bounds.turns, perSource: max(1, bounds.turns/2), bounds: bounds, begin: begin,
		taken: map[*limitedConn]time.Time{}, bySource: map[netip.Prefix]*sourceTurns{}, ring: list.New(),
	}
}

// wait queues a connection for its turn, which may come at once.
func (t *turns) wait(c *limitedConn, now time.Time) {
	t.mu.Lock()
	of := t.bySource[c.source]
	if of == nil {
		of = &sourceTurns{source: c.source, waiting: list.New()}
		t.bySource[c.source] = of
	}
	c.queued = of.waiting.PushBack(c)
	if of.place == nil {
		of.place = t.ring.PushBack(of)
	}
	next := t.grant(now)
	t.mu.Unlock()
	t.start(next)
	if c.isClosed() { // closed before it was in the queue
		t.end(c)
	}
}

// stop grants no more turns. It returns the connections that wait for a turn or for a first byte.
func (t *turns) stop() (ended []*limitedConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for c := range t.taken {
		if !c.spoken.Load() {
			ended = append(ended, c)
		}
	}
	for e := t.ring.Front(); e != nil; e = e.Next() {
		of, _ := e.Value.(*sourceTurns)
		for w := of.waiting.Front(); w != nil; w = w.Next() {
			c, _ := w.Value.(*limitedConn)
			ended = append(ended, c)
		}
	}
	return ended
}

// end frees the turn of a connection for the next one, or removes the connection from the queue.
func (t *turns) end(c *limitedConn) {
	now := time.Now()
	t.mu.Lock()
	if of := t.bySource[c.source]; of != nil {
		if _, ok := t.taken[c]; ok {
			delete(t.taken, c)
			of.taken--
		} else if c.queued != nil {
			of.waiting.Remove(c.queued)
			c.queued = nil
		}
		t.tidy(of)
	}
	next := t.grant(now)
	t.mu.Unlock()
	t.start(next)
}

func (t *turns) start(next []*limitedConn) {
	for _, c := range next {
		t.begin(c)
	}
}

// grant gives the free turns to the sources in the ring; t.mu is held.
func (t *turns) grant(now time.Time) (next []*limitedConn) {
	if t.stopped {
		return nil
	}
	for passed := 0; len(t.taken) < t.most && passed < t.ring.Len(); {
		of, _ := t.ring.Front().Value.(*sourceTurns)
		if of.taken >= t.perSource {
			t.ring.MoveToBack(of.place)
			passed++
			continue
		}
		c, _ := of.waiting.Remove(of.waiting.Front()).(*limitedConn)
		c.queued = nil
		of.taken++
		t.taken[c] = now
		next = append(next, c)
		passed = 0
		t.ring.MoveToBack(of.place)
		t.tidy(of)
	}
	return next
}

// tidy removes the state of a source that has no turns and no queue.
func (t *turns) tidy(of *sourceTurns) {
	if of.waiting.Len() == 0 && of.place != nil {
		t.ring.Remove(of.place)
		of.place = nil
	}
	if of.waiting.Len() == 0 && of.taken == 0 {
		delete(t.bySource, of.source)
	}
}

// late returns the connections that have exceeded their time in a turn or in the queue. A turn is
// shorter while other sources wait. Waiting connections of the same source shorten it only if
// bounds.strangers is set.
func (t *turns) late(now time.Time) (late []*limitedConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, since := range t.taken {
		if now.Sub(since) > t.limit(c) {
			late = append(late, c)
		}
	}
	for e := t.ring.Front(); e != nil; e = e.Next() {
		of, _ := e.Value.(*sourceTurns)
		for w := of.waiting.Front(); w != nil; w = w.Next() {
			c, _ := w.Value.(*limitedConn)
			if now.Sub(c.accepted) <= t.bounds.queue {
				break // those behind it came later
			}
			late = append(late, c)
		}
	}
	return late
}

// limit returns the longest time that the turn of a connection may take; t.mu is held.
func (t *turns) limit(c *limitedConn) time.Duration {
	others := t.ring.Len()
	if own := t.bySource[c.source]; own != nil && own.place != nil && !t.bounds.strangers {
		others--
	}
	switch spoken := c.spoken.Load(); {
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
