package gateway

import (
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Bounds of the transport. grpc-go's own are unbounded or very loose.
const (
	// handshakeTimeout covers accept to end of HTTP/2 preface.
	handshakeTimeout = 10 * time.Second
	// maxStreams is how many calls one connection may have open. A machine that pairs has one.
	maxStreams        = 16
	maxPairingStreams = 4
	// maxHeaderBytes bounds the metadata of a call.
	maxHeaderBytes = 16 << 10
	// maxPairingMessage and maxNodeMessage bound a received message. The largest of a machine that
	// pairs has a ServiceAccount token (16 KiB) and the names of its capabilities (8 KiB). A node's
	// may carry an output of the largest maxPayloadBytes (256 KiB) and as much again.
	maxPairingMessage = 32 << 10
	maxNodeMessage    = 512 << 10
	// writeBufferBytes is the size of a write buffer: connections share a pool of them and hold
	// one only while they write.
	writeBufferBytes = 4 << 10
	// readBufferBytes is 0, no read buffer: TLS keeps a whole record anyway, and most connections
	// are idle, and there may be tens of thousands.
	readBufferBytes = 0
	// headerTableBytes is 0, no table of header fields seen before: a connection sees few calls.
	headerTableBytes = 0
	// windowBytes is the flow-control window of a stream and of a connection: the
	// smallest HTTP/2 knows, so a silent reader holds little of our memory.
	windowBytes = 64 << 10

	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second
	// keepaliveMinTime is how often an agent may ping.
	keepaliveMinTime = 10 * time.Second

	// pairingConnectionAge ends connections of the pairing listener; pairingGrace lets a
	// long poll (30 s) finish.
	pairingConnectionAge = 10 * time.Minute
	pairingGrace         = 40 * time.Second
	// pairingCall ends a call of the pairing listener.
	pairingCall = 35 * time.Second
	// A node connection lasts between these two, so that agents spread over replicas.
	minNodeConnectionAge = 12 * time.Hour
	maxNodeConnectionAge = 24 * time.Hour
	nodeGrace            = time.Minute
)

// Limits bound what strangers may ask of the two listeners.
type Limits struct {
	// PairingConnections is per address (IPv6: per /64), at a time, TotalPairingConnections over all
	// addresses. A quarter of these is for addresses of which a machine has proven something.
	PairingConnections, TotalPairingConnections int
	// NodeConnections and TotalNodeConnections are the same for connections of the node listener
	// before the end of their handshake. Later ones are their machine's.
	NodeConnections, TotalNodeConnections int
	// ConnectionsPerNode is how many the machine of one Node may hold on the node listener, with
	// any keys; the oldest is closed for one more.
	ConnectionsPerNode int
	// PairingIdle ends a pairing connection without a call for so long; 0 is never. A held
	// poll is a call.
	PairingIdle time.Duration
	// BeginsPerSecond and BeginBurst limit BeginPairingSession per address.
	BeginsPerSecond float64
	BeginBurst      int
	// CallsPerSecond and CallBurst limit the other calls of the pairing listener per address.
	CallsPerSecond float64
	CallBurst      int
}

// DefaultConnectionsPerNode is enough for a session, the next one, and two that broke unnoticed.
const DefaultConnectionsPerNode = 4

// DefaultLimits are made for hundreds of machines behind one address, and for a
// flood that costs us less than the flooder.
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

// transportOptions are those of a listener with bounds.
func transportOptions(b bounds) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ConnectionTimeout(b.connection),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ReadBufferSize(readBufferBytes),
		grpc.WriteBufferSize(writeBufferBytes),
		grpc.HeaderTableSize(headerTableBytes),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(windowBytes),
		// Stop returns only after the last handler did: nobody writes afterwards.
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

// nodeConnectionAge differs per process; grpc-go adds 10 % of jitter per connection,
// hence the margins.
func nodeConnectionAge() time.Duration {
	low, high := minNodeConnectionAge*10/9, maxNodeConnectionAge*10/11
	return low + rand.N(high-low)
}
