package gateway

import "time"

// handshakeBounds bounds a connection from its accept to the end of its TLS handshake.
type handshakeBounds struct {
	// concurrent bounds the connections between the grant of their turn and the end of their
	// handshake. One source may have half of them.
	concurrent int
	// silent bounds the time to the first byte in a turn, and handshake the time to the end of the
	// handshake. The shorter bounds apply while other sources wait for a turn. queue bounds the
	// wait for a turn.
	silent, silentWhileOthersWait       time.Duration
	handshake, handshakeWhileOthersWait time.Duration
	queue                               time.Duration
	// countOwnSource applies the shorter bounds also while other connections of the same source wait.
	countOwnSource bool
}

// receiveBounds bounds the received and unfinished bytes.
type receiveBounds struct {
	perConnection, total int           // bytes
	headers, message     time.Duration // time until it is finished
}

// bounds holds the bounds of one listener.
type bounds struct {
	handshake handshakeBounds
	receive   receiveBounds
	// connection bounds the time of TLS handshake and HTTP/2 preface.
	connection time.Duration
	// idle ends a connection without a call; 0 means never.
	idle time.Duration
	// ping is the silence after which the gateway pings, pong the time for the answer.
	ping, pong time.Duration
	// age ends a connection, after grace for its calls. call ends a call that waits; 0 means never.
	age, grace, call time.Duration
}

// allBounds holds the bounds of both listeners.
type allBounds struct{ pairing, node bounds }

func defaultBounds(l Limits) allBounds {
	all := allBounds{pairing: pairingBounds, node: nodeBounds}
	all.pairing.idle = l.PairingIdle
	all.node.age = nodeConnectionAge()
	return all
}

// pairingBounds are the bounds of the pairing listener, whose clients are unknown.
var pairingBounds = bounds{
	handshake: handshakeBounds{
		concurrent: 64, silent: handshakeTimeout, silentWhileOthersWait: time.Second,
		handshake: handshakeTimeout, handshakeWhileOthersWait: 5 * time.Second, queue: 2 * handshakeTimeout, countOwnSource: true,
	},
	receive:    receiveBounds{perConnection: 4 * maxPairingMessage, total: 4 << 20, headers: 10 * time.Second, message: 10 * time.Second},
	connection: handshakeTimeout, ping: keepaliveTime, pong: keepaliveTimeout,
	age: pairingConnectionAge, grace: pairingGrace, call: pairingCall,
}

// nodeBounds are the bounds of the node listener, whose machines have proven their identity at the
// end of their handshake. A message of maxNodeMessage takes its time on a slow line.
var nodeBounds = bounds{
	handshake: handshakeBounds{
		concurrent: 128, silent: handshakeTimeout, silentWhileOthersWait: time.Second,
		handshake: handshakeTimeout, handshakeWhileOthersWait: 5 * time.Second, queue: 30 * time.Second,
	},
	receive:    receiveBounds{perConnection: 4 * maxNodeMessage, total: 16 << 20, headers: 10 * time.Second, message: 2 * time.Minute},
	connection: handshakeTimeout, ping: keepaliveTime, pong: keepaliveTimeout,
	age: maxNodeConnectionAge, grace: nodeGrace,
}

// phase is a state in which a connection may stop, with its cost there.
type phase struct {
	listener, name string
	// deadline ends the phase. contended ends it while other connections wait; 0 means the same
	// time.
	deadline, contended time.Duration
	// perSource and total bound the connections in the phase, of one address and of all. 0 means as
	// many as there are machines, with Limits.ConnectionsPerNode each.
	perSource, total int
	// bytes bounds the received and unfinished bytes of one connection. allBytes bounds the bytes
	// of all connections, if that is less than total times bytes.
	bytes, allBytes int
}

// bytesPerSource and bytesTotal return the bound on unfinished bytes of one address and of all.
// They return 0 if only the number of connections of a machine bounds them.
func (p phase) bytesPerSource() int { return p.capped(p.perSource) }
func (p phase) bytesTotal() int     { return p.capped(p.total) }

func (p phase) capped(connections int) int {
	if p.allBytes > 0 && (connections == 0 || p.bytes*connections > p.allBytes) {
		return p.allBytes
	}
	return p.bytes * connections
}

// phases returns the table of the phases of a gateway with these limits.
func phases(l Limits) []phase {
	var all []phase
	for _, row := range []struct {
		listener         string
		bounds           bounds
		perSource, total int // before the end of the handshake
	}{
		{pairingListener, pairingBounds, l.PairingConnections, l.TotalPairingConnections},
		{nodeListener, nodeBounds, l.NodeConnections, l.TotalNodeConnections},
	} {
		h, r := row.bounds.handshake, row.bounds.receive
		half := h.concurrent / 2
		open, openPerSource := row.total, row.perSource
		if row.listener == nodeListener {
			open, openPerSource = 0, 0
		}
		all = append(all,
			phase{row.listener, "waits for its turn", h.queue, 0, row.perSource, row.total, 0, 0},
			phase{row.listener, "accepted, no byte yet", h.silent, h.silentWhileOthersWait, half, h.concurrent, 0, 0},
			phase{row.listener, "ClientHello", h.handshake, h.handshakeWhileOthersWait, half, h.concurrent, maxHandshakeBytes, 0},
			phase{row.listener, "client certificate and Finished", h.handshake, h.handshakeWhileOthersWait, half, h.concurrent, maxHandshakeBytes, 0},
			phase{row.listener, "HTTP/2 preface", handshakeTimeout, 0, openPerSource, open, maxRecordBytes, 0},
			phase{row.listener, "frame or headers", r.headers, 0, openPerSource, open, r.perConnection, r.total},
			phase{row.listener, "message", r.message, 0, openPerSource, open, r.perConnection, r.total},
		)
	}
	return append(all,
		phase{pairingListener, "idle", l.PairingIdle, 0, l.PairingConnections, l.TotalPairingConnections, maxRecordBytes, 0},
		phase{pairingListener, "long poll", pairingCall, 0, l.PairingConnections, l.TotalPairingConnections, maxPairingMessage, 0},
		phase{nodeListener, "idle", keepaliveTime + keepaliveTimeout, 0, 0, 0, maxRecordBytes, 0},
		phase{nodeListener, "long poll", maxNodeConnectionAge, 0, 0, 0, maxNodeMessage, 0},
	)
}
