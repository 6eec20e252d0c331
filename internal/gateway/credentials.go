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

// verifier checks the client certificate of the node listener: the device-CA bundle,
// our trust domain, the time.
type verifier func(state tls.ConnectionState) (identity.Peer, error)

// chooser is tls.Config.GetCertificate.
type chooser func(*tls.ClientHelloInfo) (*tls.Certificate, error)

// transport is TLS 1.3 for one listener. It verifies the client inside the handshake, reads its
// identity when that is over, and hands it to the interceptors as authInfo.
type transport struct {
	credentials.TransportCredentials
	listener    string
	certificate chooser
	verify      verifier // nil on the pairing listener: no client certificate is asked for
	crowd       *crowd   // nil on the pairing listener: nobody has an identity there
	metrics     *Metrics
}

func newTransport(listener string, certificate chooser, verify verifier, crowd *crowd, metrics *Metrics) *transport {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: certificate,
		NextProtos:     []string{"h2"},
		// A resumed session would live past a revocation.
		SessionTicketsDisabled: true,
	}
	if verify != nil {
		// Any: the chain is judged by our own verifier, with its leeway.
		config.ClientAuth = tls.RequireAnyClientCert
		config.VerifyConnection = func(state tls.ConnectionState) error {
			_, err := verify(state)
			return err
		}
	}
	return &transport{
		TransportCredentials: credentials.NewTLS(config),
		listener:             listener, certificate: certificate, verify: verify, crowd: crowd, metrics: metrics,
	}
}

// authInfo is what the handshake proved.
type authInfo struct {
	credentials.TLSInfo
	connection peer.Connection
	identity   *peer.Identity // nil without a client certificate
}

// ServerHandshake runs under grpc's ConnectionTimeout.
func (t *transport) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := t.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		t.metrics.refuse(t.listener, refusalReason(err))
		return nil, nil, err
	}
	proven, err := t.prove(raw, info)
	if err != nil {
		conn.Close()
		t.metrics.refuse(t.listener, refusalReason(err))
		return nil, nil, err
	}
	if counted, ok := raw.(*limitedConn); ok && t.crowd != nil {
		t.crowd.join(proven.identity.PublicKeySHA256, counted)
	}
	return conn, proven, nil
}

// prove reads what the handshake has proven. It verifies once more rather than have a configuration of
// TLS for each connection, which lives as long as that, to carry what was read the first time.
func (t *transport) prove(raw net.Conn, info credentials.AuthInfo) (authInfo, error) {
	tlsInfo, ok := info.(credentials.TLSInfo)
	if !ok {
		return authInfo{}, fmt.Errorf("unexpected kind of TLS information %T", info)
	}
	exporter, err := tlsInfo.State.ExportKeyingMaterial(pairing.ExporterLabel, nil, pairing.ExporterLength)
	if err != nil {
		return authInfo{}, fmt.Errorf("export keying material: %w", err)
	}
	proven := authInfo{TLSInfo: tlsInfo, connection: peer.Connection{Address: addressOf(raw.RemoteAddr()), Exporter: exporter}}
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

// Clone is part of credentials.TransportCredentials.
func (t *transport) Clone() credentials.TransportCredentials {
	return newTransport(t.listener, t.certificate, t.verify, t.crowd, t.metrics)
}

// ClientHandshake is refused: this is the server's side.
func (t *transport) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("the gateway's credentials do not dial")
}

// refusalReason is a bounded label for a failed handshake.
func refusalReason(err error) string {
	var certificate *identity.CertificateError
	if errors.As(err, &certificate) {
		return certificate.Reason
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "HandshakeTimeout"
	}
	return "Handshake"
}

// peerVerifier makes the check of the node listener.
func peerVerifier(trust *Trust, trustDomain string, now func() time.Time) verifier {
	return func(state tls.ConnectionState) (identity.Peer, error) {
		return identity.VerifyPeer(state.PeerCertificates, trust.devicePool(), trustDomain, now())
	}
}

// addressOf is the address of a socket peer; the zero Addr when there is none (a pipe).
func addressOf(addr net.Addr) netip.Addr {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
