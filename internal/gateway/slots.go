package gateway

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// maxProvenSources bounds the number of remembered sources from which a machine has shown a proof.
// provenFor is how long they are remembered: as long as a request waits for its decision.
const (
	maxProvenSources = 4096
	provenFor        = time.Hour
	// advanceGrace is the time between the begin of a pairing and its proof during which the
	// connection of the machine is not closed for another one.
	advanceGrace = 2 * time.Second
)

// connSlots bounds the connections of a listener. A full listener closes the connection that has
// waited longest without a proof, of the source with most of these.
type connSlots struct {
	perSource, total int
	// reserved is the part of total for sources from which a machine has shown a proof.
	reserved int

	mu      sync.Mutex
	all     int
	sources map[netip.Prefix]*sourceSlots
	proven  map[netip.Prefix]*list.Element
	recent  *list.List // of provenSource, the newest in front
}

// sourceSlots counts the connections of one source.
type sourceSlots struct {
	all     int
	waiting *list.List // of *limitedConn without a proof, the oldest in front
}

type provenSource struct {
	source netip.Prefix
	until  time.Time
}

func newConnSlots(perSource, total, reserved int) *connSlots {
	return &connSlots{
		perSource: perSource, total: total, reserved: reserved,
		sources: map[netip.Prefix]*sourceSlots{}, proven: map[netip.Prefix]*list.Element{}, recent: list.New(),
	}
}

// acquire counts a connection until it is closed. It returns the connection that must be closed for
// it, if any, and false when there is no room.
func (p *connSlots) acquire(c *limitedConn, now time.Time) (victim *limitedConn, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.sources[c.source]
	switch {
	case own != nil && own.all >= p.perSource:
		victim = own.oldestWaiting(now)
	case p.isFull(c.source, now):
		victim = p.findVictim(now)
	}
	if victim != nil {
		p.releaseLocked(victim)
	}
	if own = p.sources[c.source]; own == nil {
		own = &sourceSlots{waiting: list.New()}
	}
	if own.all >= p.perSource || p.isFull(c.source, now) {
		return victim, false
	}
	p.sources[c.source] = own
	own.all++
	p.all++
	c.counted, c.waitingElement = true, own.waiting.PushBack(c)
	return victim, true
}

func (p *connSlots) isFull(source netip.Prefix, now time.Time) bool {
	if p.isProven(source, now) {
		return p.all >= p.total
	}
	return p.all >= p.total-p.reserved
}

// findVictim returns the connection to close to make room for another one, or nil.
func (p *connSlots) findVictim(now time.Time) (victim *limitedConn) {
	most := 0
	for source, slots := range p.sources {
		if slots.waiting.Len() < most || p.isProven(source, now) {
			continue
		}
		c := slots.oldestWaiting(now)
		if c != nil && (slots.waiting.Len() > most || victim == nil || c.accepted.Before(victim.accepted)) {
			victim, most = c, slots.waiting.Len()
		}
	}
	return victim
}

// oldestWaiting returns the connection that has waited longest without a proof. It skips
// connections that are protected by advanceGrace.
func (s *sourceSlots) oldestWaiting(now time.Time) *limitedConn {
	for e := s.waiting.Front(); e != nil; e = e.Next() {
		if c, _ := e.Value.(*limitedConn); now.Sub(c.advancedAt) > advanceGrace {
			return c
		}
	}
	return nil
}

// markAdvanced protects a connection for advanceGrace, because its machine has begun a pairing.
func (p *connSlots) markAdvanced(c *limitedConn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.advancedAt = now
}

// markProven protects a connection from being closed for others, because its machine has shown a
// proof.
func (p *connSlots) markProven(c *limitedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slots := p.sources[c.source]; slots != nil && c.waitingElement != nil {
		slots.waiting.Remove(c.waitingElement)
		c.waitingElement = nil
	}
}

// rememberProven remembers that a machine of this source has shown a proof.
func (p *connSlots) rememberProven(source netip.Prefix, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if element, ok := p.proven[source]; ok {
		p.recent.Remove(element)
	} else if len(p.proven) >= maxProvenSources {
		oldest, _ := p.recent.Remove(p.recent.Back()).(provenSource)
		delete(p.proven, oldest.source)
	}
	p.proven[source] = p.recent.PushFront(provenSource{source, now.Add(provenFor)})
}

func (p *connSlots) isProven(source netip.Prefix, now time.Time) bool {
	element, ok := p.proven[source]
	if !ok {
		return false
	}
	known, _ := element.Value.(provenSource)
	return now.Before(known.until)
}

// release removes a connection from the counts. A second call does nothing.
func (p *connSlots) release(c *limitedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.releaseLocked(c)
}

func (p *connSlots) releaseLocked(c *limitedConn) {
	slots := p.sources[c.source]
	if slots == nil || !c.counted {
		return
	}
	c.counted = false
	if c.waitingElement != nil {
		slots.waiting.Remove(c.waitingElement)
		c.waitingElement = nil
	}
	p.all--
	if slots.all--; slots.all == 0 {
		delete(p.sources, c.source)
	}
}
