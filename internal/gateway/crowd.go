package gateway

import (
	"container/list"
	"sync"
)

// crowd bounds the connections of each machine. The newest counts: what it held longest is closed
// for one more, because a machine that dials again has lost its connection before the gateway
// notices. A machine is its key, not its name: whoever had the name before shuts nobody out.
type crowd struct {
	most   int
	closed func() // told of each connection that had to go

	mu   sync.Mutex
	open map[string]*list.List // by SPKI fingerprint, of *limitedConn, oldest in front
}

func newCrowd(most int, closed func()) *crowd {
	return &crowd{most: most, closed: closed, open: map[string]*list.List{}}
}

// join counts a connection of the key until it is closed.
func (c *crowd) join(key string, conn *limitedConn) {
	c.mu.Lock()
	held := c.open[key]
	if held == nil {
		held = list.New()
		c.open[key] = held
	}
	place := held.PushBack(conn)
	var oldest *limitedConn
	if held.Len() > c.most {
		oldest, _ = held.Front().Value.(*limitedConn)
	}
	c.mu.Unlock()
	conn.onClose(func() { c.leave(key, held, place) })
	if oldest != nil {
		c.closed()
		// Below TLS, which would wait to say goodbye to a peer that may be gone. Its server
		// sees the end and closes the rest.
		_ = oldest.Close()
	}
}

func (c *crowd) leave(key string, held *list.List, place *list.Element) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held.Remove(place)
	if held.Len() == 0 && c.open[key] == held {
		delete(c.open, key)
	}
}
