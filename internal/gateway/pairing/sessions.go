package pairing

import (
	"crypto/hmac"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/identity"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

const (
	// sessionLife is the longest time between Begin and Complete.
	sessionLife = 30 * time.Second
	// maxSessions bounds the table; fewer may begin in sessionLife. maxPerConnection bounds the
	// share of one connection.
	maxSessions      = 8192
	maxPerConnection = 4
)

// session is one exchange between Begin and Complete.
type session struct {
	exporter []byte // of its connection
	lookupID string
	nodeName string
	share    []byte         // the agent's
	exchange *spake.Gateway // nil for a code that cannot be used
	bundle   identity.Bundle
	ends     time.Time
}

// sessions is a bounded table of exchanges. Each one can be taken only once, whatever its result.
type sessions struct {
	clock clock.PassiveClock

	mu   sync.Mutex
	byID map[string]session
	per  map[string]int // by exporter
}

func newSessions(clock clock.PassiveClock) *sessions {
	return &sessions{clock: clock, byID: map[string]session{}, per: map[string]int{}}
}

// add stores s for sessionLife and returns its id. It returns false when there is no room.
func (t *sessions) add(rand io.Reader, s session) (id string, ok bool, err error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", false, fmt.Errorf("draw session id: %w", err)
	}
	id = hex.EncodeToString(b[:])
	now := t.clock.Now()
	s.ends = now.Add(sessionLife)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byID) >= maxSessions || t.per[string(s.exporter)] >= maxPerConnection {
		t.sweep(now)
	}
	if len(t.byID) >= maxSessions || t.per[string(s.exporter)] >= maxPerConnection {
		return "", false, nil
	}
	t.byID[id] = s
	t.per[string(s.exporter)]++
	return id, true, nil
}

// take removes and returns the session of an id, if it belongs to the connection and is not over. A
// session of another connection stays, so that no other client can end it.
func (t *sessions) take(id string, exporter []byte) (session, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.byID[id]
	if !ok || !hmac.Equal(s.exporter, exporter) {
		return session{}, false
	}
	t.remove(id, s)
	return s, t.clock.Now().Before(s.ends)
}

func (t *sessions) sweep(now time.Time) {
	for id, s := range t.byID {
		if !now.Before(s.ends) {
			t.remove(id, s)
		}
	}
}

func (t *sessions) remove(id string, s session) {
	delete(t.byID, id)
	if t.per[string(s.exporter)]--; t.per[string(s.exporter)] <= 0 {
		delete(t.per, string(s.exporter))
	}
}
