package gateway

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// crowd bounds the connections of each Node, whatever their keys. One connection too many closes
// the oldest, because a machine that dials again has lost its connection before the gateway
// notices. Connections without the pinned key are closed first and never cause the end of one with
// it. A former owner of the name therefore cannot shut out the machine.
type crowd struct {
	most   int
	closed func() // called for each connection that is closed

	mu   sync.Mutex
	open map[types.NamespacedName][]crowdPlace // oldest first; at most `most` each
}

type crowdPlace struct {
	node *nodeConn
	conn *limitedConn
}

func newCrowd(most int, closed func()) *crowd {
	return &crowd{most: most, closed: closed, open: map[types.NamespacedName][]crowdPlace{}}
}

// join counts a connection of the Node until it is closed.
func (c *crowd) join(node *nodeConn, conn *limitedConn) {
	key := types.NamespacedName{Namespace: node.identity.ID.Namespace, Name: node.identity.ID.Node}
	c.mu.Lock()
	places := append(c.open[key], crowdPlace{node, conn})
	var victim *limitedConn
	if len(places) > c.most {
		i := victimOf(places)
		victim = places[i].conn
		places = append(places[:i:i], places[i+1:]...)
	}
	c.open[key] = places
	c.mu.Unlock()
	conn.onClose(func() { c.leave(key, conn) })
	if victim != nil {
		c.closed()
		// Close the socket below TLS: TLS would wait for its goodbye to a peer that may be gone.
		// The server sees the end of the socket and closes the rest.
		_ = victim.Close()
	}
}

// victimOf returns the index of the oldest connection without the pinned key, or else of the oldest
// connection.
func victimOf(places []crowdPlace) int {
	for i, place := range places {
		if place.node.stray.Load() {
			return i
		}
	}
	return 0
}

func (c *crowd) leave(key types.NamespacedName, conn *limitedConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	places := c.open[key]
	for i, place := range places {
		if place.conn == conn {
			places = append(places[:i:i], places[i+1:]...)
			break
		}
	}
	if len(places) == 0 {
		delete(c.open, key)
		return
	}
	c.open[key] = places
}
