package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc/credentials"

	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// Names of the listeners, in logs and metrics.
const (
	pairingListener = "pairing"
	nodeListener    = "node"
)

// verifier checks the client certificate of the node listener against the device CA bundle, our
// trust domain and the time.
type verifier func(state tls.ConnectionState) (identity.Peer, error)

// certificateGetter has the signature of tls.Config.GetCertificate.
type certificateGetter func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// transport implements TLS 1.3 for one listener. It verifies the client inside the handshake, reads
// its identity afterwards, and passes the identity to the interceptors as authInfo.
type transport struct {
	credentials.TransportCredentials
	certificate certificateGetter
	verify      verifier  // nil on the pairing listener: no client certificate is asked for
	nodes       *nodeGate // nil on the pairing listener: no caller has an identity there
	refusals    *refusalReporter
}

// nodeGate decides about a connection of a machine after its handshake.
type nodeGate struct {
	authorizer  Authorizer
	limiter     *nodeLimiter
	connLimiter *connLimiter
}

// register takes the connection from the budget of its Node and counts it.
func (g *nodeGate) register(id *peer.Identity, conn *limitedConn) (*nodeConn, error) {
	node := &nodeConn{identity: id, refusedCalls: refusedCalls{close: func() { _ = conn.Close() }}}
	node.unpinned.Store(!g.authorizer.Pinned(*id))
	if err := g.limiter.takeConnection(node); err != nil {
		return nil, err
	}
	g.connLimiter.acquire(node, conn)
	return node, nil
}

func newTransport(certificate certificateGetter, verify verifier, nodes *nodeGate, refusals *refusalReporter) *transport {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: certificate,
		NextProtos:     []string{"h2"},
		// A resumed session would live past a revocation.
		SessionTicketsDisabled: true,
	}
	if verify != nil {
		// Our own verifier checks the chain, with its leeway.
		config.ClientAuth = tls.RequireAnyClientCert
		config.VerifyConnection = func(state tls.ConnectionState) error {
			_, err := verify(state)
			return err
		}
	}
	return &transport{
		TransportCredentials: credentials.NewTLS(config),
		certificate:          certificate, verify: verify, nodes: nodes, refusals: refusals,
	}
}

// authInfo holds the facts that the handshake proved.
type authInfo struct {
	credentials.TLSInfo
	connection   peer.Connection
	identity     *peer.Identity // nil without a client certificate
	node         *nodeConn      // nil without a client certificate
	refusedCalls *refusedCalls  // on the pairing listener; nodeConn has its own count
}

// ServerHandshake runs under grpc's ConnectionTimeout, in the turn of its connection.
func (t *transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	limited, ok := raw.(*limitedConn)
	if !ok {
		return nil, nil, fmt.Errorf("unexpected kind of connection %T", raw)
	}
	defer limited.listener.handshakes.release(limited)
	conn, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		t.reportRefusal(limited, err)
		return nil, nil, err
	}
	proven, err := t.readAuthInfo(limited, info)
	if err != nil {
		conn.Close()
		t.reportRefusal(limited, err)
		return nil, nil, err
	}
	if t.nodes == nil {
		proven.refusedCalls = &refusedCalls{close: func() { _ = limited.Close() }}
	} else {
		limited.listener.slots.release(limited)
		if proven.node, err = t.nodes.register(proven.identity, limited); err != nil {
			limited.listener.sleep(refusedConnectionDelay)
			limited.Close()
			t.refusals.report(limited, reasonTooManyConnectionsOfNode, err)
			return nil, nil, err
		}
	}
	return limited.newMeteredConn(conn), proven, nil
}

// reportRefusal records a failed handshake. It skips a connection that the gateway itself has
// closed for lack of room or time, because that reason is recorded already.
func (t *transport) reportRefusal(conn net.Conn, err error) {
	if !errors.Is(err, net.ErrClosed) {
		t.refusals.report(conn, refusalReason(err), err)
	}
}

// readAuthInfo reads the identity from the finished handshake. It verifies the chain a second time.
// To keep the result of the first time, each connection would need its own TLS configuration for
// its whole life.
func (t *transport) readAuthInfo(raw *limitedConn, info credentials.AuthInfo) (authInfo, error) {
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok {
		return authInfo{}, fmt.Errorf("unexpected kind of TLS information %T", info)
	}
	exporter, err := tlsInfo.State.ExportKeyingMaterial(pairing.ExporterLabel, nil, pairing.ExporterLength)
	if err != nil {
		return authInfo{}, fmt.Errorf("export keying material: %w", err)
	}
	proven := authInfo{TLSInfo: tlsInfo, connection: peer.Connection{Address: addressOf(raw.RemoteAddr()), Exporter: exporter, Progress: raw}}
	if t.verify != nil {
		machine, err := t.verify(tlsInfo.State)
		if err != nil {
			return authInfo{}, err
		}
		proven.identity = &peer.Identity{
			ID:                machine.ID,
			PublicKeySHA256:   machine.PublicKeySHA256,
			CertificateSHA256: identity.FingerprintCertificate(machine.Certificate),
			Certificate:       machine.Certificate,
			Exporter:          exporter,
		}
	}
	return proven, nil
}

// Clone implements credentials.TransportCredentials.
func (t *transport) Clone() credentials.TransportCredentials {
	return newTransport(t.certificate, t.verify, t.nodes, t.refusals)
}

// ClientHandshake returns an error: these credentials serve and do not dial.
func (t *transport) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("the gateway's credentials do not dial")
}

// peerVerifier returns the verifier of the node listener.
func peerVerifier(trust *Trust, trustDomain string, now func() time.Time) verifier {
	return func(state tls.ConnectionState) (identity.Peer, error) {
		return identity.VerifyPeer(state.PeerCertificates, trust.devicePool(), trustDomain, now())
	}
}

// addressOf returns the IP address of a socket peer. It returns the zero Addr when there is none (a
// pipe).
func addressOf(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
