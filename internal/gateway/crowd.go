package gateway

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// crowd bounds the connections of each Node, whatever keys they have. The newest counts: the
// oldest is closed for one more, because a machine that dials again has lost its connection before
// the gateway notices. Connections without the pinned key are closed first, and never close one
// that has it: a former owner of the name shuts nobody out.
type crowd struct {
	most   int
	closed func() // counts the connections that were closed

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
		// Below TLS, which would wait to say goodbye to a peer that may be gone. Its server
		// sees the end and closes the rest.
		_ = victim.Close()
	}
}

// victimOf is the index of the oldest connection without the pinned key, else of the oldest.
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
