package gateway

import (
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Bounds of the transport. The defaults of grpc-go are unbounded or very loose.
const (
	// handshakeTimeout covers the time from accept to the end of the HTTP/2 preface.
	handshakeTimeout = 10 * time.Second
	// maxStreams and maxPairingStreams bound the open calls of one connection. A machine that pairs
	// has one.
	maxStreams        = 16
	maxPairingStreams = 4
	// maxHeaderBytes bounds the metadata of a call.
	maxHeaderBytes = 16 << 10
	// maxPairingMessage and maxNodeMessage bound a received message. The largest message of a
	// machine that pairs has a ServiceAccount token (16 KiB) and the names of its capabilities (8
	// KiB). A message of a Node may carry an output of the largest maxPayloadBytes (256 KiB) and as
	// much again.
	maxPairingMessage = 32 << 10
	maxNodeMessage    = 512 << 10
	// writeBufferBytes is the size of a write buffer. Connections share a pool of buffers and hold
	// one only while they write.
	writeBufferBytes = 4 << 10
	// readBufferBytes is 0, which means no read buffer. TLS keeps a whole record anyway, and there
	// may be tens of thousands of connections, most of them idle.
	readBufferBytes = 0
	// headerTableBytes is 0, which means no table of earlier header fields. A connection carries
	// few calls.
	headerTableBytes = 0
	// windowBytes is the flow-control window of a stream and of a connection. It is the smallest
	// that grpc-go accepts, so that a stream without a reader holds little memory.
	windowBytes = 64 << 10

	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second
	// keepaliveMinTime is the shortest interval at which an agent may ping.
	keepaliveMinTime = 10 * time.Second

	// pairingConnectionAge ends connections of the pairing listener. pairingGrace lets a long poll
	// (30 s) finish.
	pairingConnectionAge = 10 * time.Minute
	pairingGrace         = 40 * time.Second
	// pairingCall bounds a call of the pairing listener.
	pairingCall = 35 * time.Second
	// minNodeConnectionAge and maxNodeConnectionAge bound the age of a node connection, so that
	// agents spread over replicas.
	minNodeConnectionAge = 12 * time.Hour
	maxNodeConnectionAge = 24 * time.Hour
	nodeGrace            = time.Minute
)

// Limits bounds the connections and calls that clients may open on the two listeners.
type Limits struct {
	// PairingConnections bounds the open connections of one address (IPv6: of one /64),
	// TotalPairingConnections the connections of all addresses. A quarter of the total is reserved
	// for addresses from which a machine has shown a proof.
	PairingConnections, TotalPairingConnections int
	// NodeConnections and TotalNodeConnections bound the connections of the node listener in the
	// same way until the end of their handshake. ConnectionsPerNode bounds later ones.
	NodeConnections, TotalNodeConnections int
	// ConnectionsPerNode bounds the connections of one Node on the node listener, whatever their
	// keys. One connection too many closes the oldest.
	ConnectionsPerNode int
	// PairingIdle ends a pairing connection without a call after this time; 0 means never. An open
	// long poll is a call.
	PairingIdle time.Duration
	// BeginsPerSecond and BeginBurst limit BeginPairingSession per address.
	BeginsPerSecond float64
	BeginBurst      int
	// CallsPerSecond and CallBurst limit the other calls of the pairing listener per address.
	CallsPerSecond float64
	CallBurst      int
}

// DefaultConnectionsPerNode is enough for a session, its successor, and two broken connections that
// the gateway has not noticed.
const DefaultConnectionsPerNode = 4

// DefaultLimits returns limits for hundreds of machines behind one address. A flood within them
// costs the gateway less than the flooder.
func DefaultLimits() Limits {
	return Limits{
		PairingConnections:      256,
		NodeConnections:         10240,
		ConnectionsPerNode:      DefaultConnectionsPerNode,
		TotalPairingConnections: 512,
		TotalNodeConnections:    12288,
		PairingIdle:             20 * time.Second,
		BeginsPerSecond:         5,
		BeginBurst:              100,
		CallsPerSecond:          20,
		CallBurst:               200,
	}
}

// transportOptions returns the transport options of a listener with the bounds b.
func transportOptions(b bounds) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ConnectionTimeout(b.connection),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ReadBufferSize(readBufferBytes),
		grpc.WriteBufferSize(writeBufferBytes),
		grpc.HeaderTableSize(headerTableBytes),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(windowBytes),
		// Stop returns after the last handler, so that no handler writes afterwards.
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime:             keepaliveMinTime,
			PermitWithoutStream: true,
		}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: b.ping, Timeout: b.pong, MaxConnectionIdle: b.idle,
			MaxConnectionAge: b.age, MaxConnectionAgeGrace: b.grace,
		}),
	}
}

func pairingOptions(b bounds) []grpc.ServerOption {
	return append(transportOptions(b), grpc.MaxConcurrentStreams(maxPairingStreams), grpc.MaxRecvMsgSize(maxPairingMessage))
}

func nodeOptions(b bounds) []grpc.ServerOption {
	return append(transportOptions(b), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxRecvMsgSize(maxNodeMessage))
}

// nodeConnectionAge returns the connection age of this process. It differs between processes.
// grpc-go adds 10 % of jitter per connection, hence the margins.
func nodeConnectionAge() time.Duration {
	low, high := minNodeConnectionAge*10/9, maxNodeConnectionAge*10/11
	return low + rand.N(high-low)
}
