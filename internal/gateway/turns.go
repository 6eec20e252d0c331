package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// turns bound how many connections are between their first byte and the end of their handshake. A
// connection that waits for its turn costs its socket. The sources take turns, so that a crowd of
// one source delays no other.
type turns struct {
	most, perSource int
	bounds          handshakeBounds
	begin           func(*limitedConn) // serves a connection whose turn it is; it does not block

	mu       sync.Mutex
	taken    map[*limitedConn]time.Time // since when
	bySource map[netip.Prefix]*sourceTurns
	ring     *list.List // of *sourceTurns that have connections waiting, the next in front
	stopped  bool
}

// sourceTurns are those of one source.
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

// wait makes a connection wait for its turn, which may come at once.
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
	if c.isClosed() { // before it was in the queue
		t.end(c)
	}
}

// stop grants no turn any more and returns the connections that wait for one or for a first byte.
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

// end gives the turn of a connection to the next one, or takes it out of the queue.
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

// tidy removes the state that a source no longer needs.
func (t *turns) tidy(of *sourceTurns) {
	if of.waiting.Len() == 0 && of.place != nil {
		t.ring.Remove(of.place)
		of.place = nil
	}
	if of.waiting.Len() == 0 && of.taken == 0 {
		delete(t.bySource, of.source)
	}
}

// late returns the connections that have had their time: in a turn, less of it while other sources
// wait for one, and in the queue. A crowd of machines of one source waits for itself.
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

// limit returns how long the turn of a connection may take; t.mu is held.
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
