package gateway

import "time"

// handshakeBounds are those of a connection from its accept to the end of its TLS handshake.
type handshakeBounds struct {
	// turns is how many connections may be between their first byte and the end of their handshake,
	// half of them of one source.
	turns int
	// silent ends a turn without a first byte, handshake one without the end of the handshake, both
	// sooner while other sources wait for a turn. queue ends the wait for a turn.
	silent, silentWhileOthersWait       time.Duration
	handshake, handshakeWhileOthersWait time.Duration
	queue                               time.Duration
	// strangers have less time also while others of their own source wait.
	strangers bool
}

// receiveBounds are the bounds of received and unfinished bytes.
type receiveBounds struct {
	perConnection, total int           // bytes
	headers, message     time.Duration // until it is finished
}

// bounds are those of a listener.
type bounds struct {
	handshake handshakeBounds
	receive   receiveBounds
	// connection covers TLS handshake and HTTP/2 preface.
	connection time.Duration
	// idle ends a connection without a call, 0 never.
	idle time.Duration
	// ping is the silence before the gateway pings, pong the time for the answer.
	ping, pong time.Duration
	// age ends a connection, after grace for its calls. call ends one that waits, 0 never.
	age, grace, call time.Duration
}

// allBounds are those of both listeners.
type allBounds struct{ pairing, node bounds }

func defaultBounds(l Limits) allBounds {
	all := allBounds{pairing: pairingBounds, node: nodeBounds}
	all.pairing.idle = l.PairingIdle
	all.node.age = nodeConnectionAge()
	return all
}

// pairingBounds are for strangers.
var pairingBounds = bounds{
	handshake: handshakeBounds{
		turns: 64, silent: handshakeTimeout, silentWhileOthersWait: time.Second,
		handshake: handshakeTimeout, handshakeWhileOthersWait: 5 * time.Second, queue: 2 * handshakeTimeout, strangers: true,
	},
	receive:    receiveBounds{perConnection: 4 * maxPairingMessage, total: 4 << 20, headers: 10 * time.Second, message: 10 * time.Second},
	connection: handshakeTimeout, ping: keepaliveTime, pong: keepaliveTimeout,
	age: pairingConnectionAge, grace: pairingGrace, call: pairingCall,
}

// nodeBounds are for machines, which are proven with the end of their handshake. A message of
// maxNodeMessage takes its time on a slow line.
var nodeBounds = bounds{
	handshake: handshakeBounds{
		turns: 128, silent: handshakeTimeout, silentWhileOthersWait: time.Second,
		handshake: handshakeTimeout, handshakeWhileOthersWait: 5 * time.Second, queue: 30 * time.Second,
	},
	receive:    receiveBounds{perConnection: 4 * maxNodeMessage, total: 16 << 20, headers: 10 * time.Second, message: 2 * time.Minute},
	connection: handshakeTimeout, ping: keepaliveTime, pong: keepaliveTimeout,
	age: maxNodeConnectionAge, grace: nodeGrace,
}

// phase is a state in which a connection may stop, and its cost there.
type phase struct {
	listener, name string
	// deadline ends the phase; contended does while other connections wait, 0 if that is the same.
	deadline, contended time.Duration
	// perSource and total are how many connections may be in the phase, of one address and in all;
	// 0: as many as there are machines, with Limits.ConnectionsPerNode each.
	perSource, total int
	// bytes may be received from a connection and not be finished; allBytes from all together, if
	// that is less than total times as many.
	bytes, allBytes int
}

// ofSource and ofAll are the bytes that may be unfinished, 0 if only a machine's own number of
// connections bounds them.
func (p phase) ofSource() int { return p.capped(p.perSource) }
func (p phase) ofAll() int    { return p.capped(p.total) }

func (p phase) capped(connections int) int {
	if p.allBytes > 0 && (connections == 0 || p.bytes*connections > p.allBytes) {
		return p.allBytes
	}
	return p.bytes * connections
}

// phases returns the table of a gateway with these limits.
func phases(l Limits) []phase {
	var all []phase
	for _, of := range []struct {
		listener         string
		bounds           bounds
		perSource, total int // before the end of the handshake
	}{
		{pairingListener, pairingBounds, l.PairingConnections, l.TotalPairingConnections},
		{nodeListener, nodeBounds, l.NodeConnections, l.TotalNodeConnections},
	} {
		h, r := of.bounds.handshake, of.bounds.receive
		half := h.turns / 2
		open, openPerSource := of.total, of.perSource
		if of.listener == nodeListener {
			open, openPerSource = 0, 0
		}
		all = append(all,
			phase{of.listener, "waits for its turn", h.queue, 0, of.perSource, of.total, 0, 0},
			phase{of.listener, "accepted, no byte yet", h.silent, h.silentWhileOthersWait, half, h.turns, 0, 0},
			phase{of.listener, "ClientHello", h.handshake, h.handshakeWhileOthersWait, half, h.turns, maxHandshakeBytes, 0},
			phase{of.listener, "client certificate and Finished", h.handshake, h.handshakeWhileOthersWait, half, h.turns, maxHandshakeBytes, 0},
			phase{of.listener, "HTTP/2 preface", handshakeTimeout, 0, openPerSource, open, maxRecordBytes, 0},
			phase{of.listener, "frame or headers", r.headers, 0, openPerSource, open, r.perConnection, r.total},
			phase{of.listener, "message", r.message, 0, openPerSource, open, r.perConnection, r.total},
		)
	}
	return append(all,
		phase{pairingListener, "idle", l.PairingIdle, 0, l.PairingConnections, l.TotalPairingConnections, maxRecordBytes, 0},
		phase{pairingListener, "long poll", pairingCall, 0, l.PairingConnections, l.TotalPairingConnections, maxPairingMessage, 0},
		phase{nodeListener, "idle", keepaliveTime + keepaliveTimeout, 0, 0, 0, maxRecordBytes, 0},
		phase{nodeListener, "long poll", maxNodeConnectionAge, 0, 0, 0, maxNodeMessage, 0},
	)
}
