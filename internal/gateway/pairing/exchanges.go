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
	// exchangeLifetime is the longest time between Begin and Complete.
	exchangeLifetime = 30 * time.Second
	// maxExchanges bounds the table; fewer may begin in exchangeLifetime. maxPerConnection bounds the
	// share of one connection.
	maxExchanges     = 8192
	maxPerConnection = 4
)

// exchange is the state of one SPAKE2 exchange between Begin and Complete.
type exchange struct {
	exporter     []byte // of its connection
	lookupID     string
	nodeName     string
	share        []byte         // the agent's
	spakeGateway *spake.Gateway // nil for a code that cannot be used
	bundle       identity.Bundle
	expires      time.Time
}

// exchangeTable is a bounded table of exchanges. Each one can be taken only once, whatever its
// result.
type exchangeTable struct {
	clock clock.PassiveClock

	mu            sync.Mutex
	byID          map[string]exchange
	perConnection map[string]int // by exporter
}

func newExchangeTable(clock clock.PassiveClock) *exchangeTable {
	return &exchangeTable{clock: clock, byID: map[string]exchange{}, perConnection: map[string]int{}}
}

// add stores s for exchangeLifetime and returns its id. It returns false when there is no room.
func (t *exchangeTable) add(rand io.Reader, s exchange) (id string, ok bool, err error) {
	var b [16]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", false, fmt.Errorf("draw session id: %w", err)
	}
	id = hex.EncodeToString(b[:])
	now := t.clock.Now()
	s.expires = now.Add(exchangeLifetime)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byID) >= maxExchanges || t.perConnection[string(s.exporter)] >= maxPerConnection {
		t.sweep(now)
	}
	if len(t.byID) >= maxExchanges || t.perConnection[string(s.exporter)] >= maxPerConnection {
		return "", false, nil
	}
	t.byID[id] = s
	t.perConnection[string(s.exporter)]++
	return id, true, nil
}

// take removes and returns the exchange of an id, if it belongs to the connection and is not over.
// An exchange of another connection stays, so that no other client can end it.
func (t *exchangeTable) take(id string, exporter []byte) (exchange, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.byID[id]
	if !ok || !hmac.Equal(s.exporter, exporter) {
		return exchange{}, false
	}
	t.remove(id, s)
	return s, t.clock.Now().Before(s.expires)
}

func (t *exchangeTable) sweep(now time.Time) {
	for id, s := range t.byID {
		if !now.Before(s.expires) {
			t.remove(id, s)
		}
	}
}

func (t *exchangeTable) remove(id string, s exchange) {
	delete(t.byID, id)
	if t.perConnection[string(s.exporter)]--; t.perConnection[string(s.exporter)] <= 0 {
		delete(t.perConnection, string(s.exporter))
	}
}
