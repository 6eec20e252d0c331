package link

import (
	"sync"

	"github.com/mooring-dev/mooring/internal/gateway/peer"
)

// Polls maps session ids to the Conns of sessions, because each poll may use another connection.
type Polls struct {
	mu   sync.Mutex
	byID map[string]*PollConn
}

// NewPolls returns an empty Polls.
func NewPolls() *Polls {
	return &Polls{byID: map[string]*PollConn{}}
}

// Add adds the Conn of a session.
func (p *Polls) Add(id string, c *PollConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byID[id] = c
}

// Remove removes the Conn of a session.
func (p *Polls) Remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
}

// Get returns the Conn of a session if caller owns the session. Its error is a gRPC status.
func (p *Polls) Get(id string, caller peer.Identity) (*PollConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byID[id]
	if c == nil || c.owner.ID != caller.ID || c.owner.PublicKeySHA256 != caller.PublicKeySHA256 {
		return nil, errUnknownSession
	}
	return c, nil
}
