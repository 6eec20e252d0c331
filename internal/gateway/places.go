package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// maxAdmitted bounds the number of remembered sources from which a machine has shown a proof.
// admittedFor is how long they are remembered: as long as a request waits for its decision.
const (
	maxAdmitted = 4096
	admittedFor = time.Hour
	// advancedFor is the time between the begin of a pairing and its proof during which the
	// connection of the machine is not closed for another one.
	advancedFor = 2 * time.Second
)

// places bounds the connections of a listener. A full listener closes the connection that has
// waited longest without a proof, of the source with most of these.
type places struct {
	perSource, total int
	// reserved is the part of total for sources from which a machine has shown a proof.
	reserved int

	mu       sync.Mutex
	all      int
	sources  map[netip.Prefix]*place
	admitted map[netip.Prefix]*list.Element
	recent   *list.List // of admission, the newest in front
}

// place counts the connections of one source.
type place struct {
	all     int
	waiting *list.List // of *limitedConn without a proof, the oldest in front
}

type admission struct {
	source netip.Prefix
	until  time.Time
}

func newPlaces(perSource, total, reserved int) *places {
	return &places{
		perSource: perSource, total: total, reserved: reserved,
		sources: map[netip.Prefix]*place{}, admitted: map[netip.Prefix]*list.Element{}, recent: list.New(),
	}
}

// take counts a connection until it is closed. It returns the connection that must be closed for
// it, if any, and false when there is no room.
func (p *places) take(c *limitedConn, now time.Time) (victim *limitedConn, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.sources[c.source]
	switch {
	case own != nil && own.all >= p.perSource:
		victim = own.oldest(now)
	case p.full(c.source, now):
		victim = p.victim(now)
	}
	if victim != nil {
		p.leave(victim)
	}
	if own = p.sources[c.source]; own == nil {
		own = &place{waiting: list.New()}
	}
	if own.all >= p.perSource || p.full(c.source, now) {
		return victim, false
	}
	p.sources[c.source] = own
	own.all++
	p.all++
	c.placed, c.waiting = true, own.waiting.PushBack(c)
	return victim, true
}

func (p *places) full(source netip.Prefix, now time.Time) bool {
	if p.isAdmitted(source, now) {
		return p.all >= p.total
	}
	return p.all >= p.total-p.reserved
}

// victim returns the connection to close to make room for another one, or nil.
func (p *places) victim(now time.Time) (victim *limitedConn) {
	most := 0
	for source, held := range p.sources {
		if held.waiting.Len() < most || p.isAdmitted(source, now) {
			continue
		}
		c := held.oldest(now)
		if c != nil && (held.waiting.Len() > most || victim == nil || c.accepted.Before(victim.accepted)) {
			victim, most = c, held.waiting.Len()
		}
	}
	return victim
}

// oldest returns the connection that has waited longest without a proof. It skips connections that
// are protected by advancedFor.
func (held *place) oldest(now time.Time) *limitedConn {
	for e := held.waiting.Front(); e != nil; e = e.Next() {
		if c, _ := e.Value.(*limitedConn); now.Sub(c.advanced) > advancedFor {
			return c
		}
	}
	return nil
}

// advance protects a connection for advancedFor, because its machine has begun a pairing.
func (p *places) advance(c *limitedConn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.advanced = now
}

// prove protects a connection from being closed for others, because its machine has shown a proof.
func (p *places) prove(c *limitedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if held := p.sources[c.source]; held != nil && c.waiting != nil {
		held.waiting.Remove(c.waiting)
		c.waiting = nil
	}
}

// admit remembers that a machine of this source has shown a proof.
func (p *places) admit(source netip.Prefix, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if place, ok := p.admitted[source]; ok {
		p.recent.Remove(place)
	} else if len(p.admitted) >= maxAdmitted {
		oldest, _ := p.recent.Remove(p.recent.Back()).(admission)
		delete(p.admitted, oldest.source)
	}
	p.admitted[source] = p.recent.PushFront(admission{source, now.Add(admittedFor)})
}

func (p *places) isAdmitted(source netip.Prefix, now time.Time) bool {
	place, ok := p.admitted[source]
	if !ok {
		return false
	}
	known, _ := place.Value.(admission)
	return now.Before(known.until)
}

// release removes a connection from the counts. A second call does nothing.
func (p *places) release(c *limitedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(c)
}

func (p *places) leave(c *limitedConn) {
	held := p.sources[c.source]
	if held == nil || !c.placed {
		return
	}
	c.placed = false
	if c.waiting != nil {
		held.waiting.Remove(c.waiting)
		c.waiting = nil
	}
	p.all--
	if held.all--; held.all == 0 {
		delete(p.sources, c.source)
	}
}
