package gateway

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// connLimiter bounds the connections of each Node, whatever their keys. One connection too many
// closes the oldest, because a machine that dials again has lost its connection before the gateway
// notices. Connections without the pinned key are closed first and never cause the end of one with
// it. A former owner of the name therefore cannot shut out the machine.
type connLimiter struct {
	limit   int
	onEvict func() // called for each connection that is closed

	mu   sync.Mutex
	open map[types.NamespacedName][]connEntry // oldest first; at most `limit` each
}

type connEntry struct {
	node *nodeConn
	conn *limitedConn
}

func newConnLimiter(limit int, onEvict func()) *connLimiter {
	return &connLimiter{limit: limit, onEvict: onEvict, open: map[types.NamespacedName][]connEntry{}}
}

// acquire counts a connection of the Node until it is closed.
func (c *connLimiter) acquire(node *nodeConn, conn *limitedConn) {
	key := types.NamespacedName{Namespace: node.identity.ID.Namespace, Name: node.identity.ID.Node}
	c.mu.Lock()
	entries := append(c.open[key], connEntry{node, conn})
	var victim *limitedConn
	if len(entries) > c.limit {
		i := victimIndex(entries)
		victim = entries[i].conn
		entries = append(entries[:i:i], entries[i+1:]...)
	}
	c.open[key] = entries
	c.mu.Unlock()
	conn.onClose(func() { c.release(key, conn) })
	if victim != nil {
		c.onEvict()
		// Close the socket below TLS: TLS would wait for its goodbye to a peer that may be gone.
		// The server sees the end of the socket and closes the rest.
		_ = victim.Close()
	}
}

// victimIndex returns the index of the oldest connection without the pinned key, or else of the
// oldest connection.
func victimIndex(entries []connEntry) int {
	for i, place := range entries {
		if place.node.unpinned.Load() {
			return i
		}
	}
	return 0
}

func (c *connLimiter) release(key types.NamespacedName, conn *limitedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries := c.open[key]
	for i, place := range entries {
		if place.conn == conn {
			entries = append(entries[:i:i], entries[i+1:]...)
			break
		}
	}
	if len(entries) == 0 {
		delete(c.open, key)
		return
	}
	c.open[key] = entries
}
