// Package peer holds what the gateway's listeners prove about a caller, as typed
// values in the context of a call. The interceptors of package gateway put them
// there; services only read them. No request message names its caller.
package peer

import (
	"context"
	"crypto/x509"
	"net/netip"

	"github.com/mooring-dev/mooring/internal/identity"
)

// Identity is a machine, as its client certificate proves it on the node listener.
// When a service sees one, the certificate has been verified (identity.VerifyPeer)
// and the Authorizer has compared the key with the pin of a live Node.
type Identity struct {
	// ID is the Node: trust domain, namespace and name out of the URI SAN.
	ID identity.ID
	// PublicKeySHA256 is the fingerprint of its key, to be compared with the pin: 64
	// lower-case hex digits.
	PublicKeySHA256 string
	// CertificateSHA256 is the fingerprint of Certificate: 64 lower-case hex digits.
	CertificateSHA256 string
	// Certificate is the leaf it presented.
	Certificate *x509.Certificate
	// Exporter is the TLS exporter of its connection (pairing.ExporterLabel), 32 bytes.
	Exporter []byte
}

// Connection is what a listener knows of a TLS connection, whoever is behind it.
type Connection struct {
	// Address is the socket peer. It limits, it never identifies.
	Address netip.Addr
	// Exporter is the TLS exporter (pairing.ExporterLabel), 32 bytes: the same on both
	// ends, different on every connection, so it also names the connection.
	Exporter []byte
	// Progress records the steps of the caller; nil on connections that no listener accepted.
	Progress Progress
}

// Progress keeps a connection of the pairing listener from being closed to make room for another.
type Progress interface {
	// Advance records the begin of a pairing: the caller has a moment for its proof.
	Advance()
	// Prove records a proof: the caller holds a code, a token or the key of a request or a Node.
	Prove()
}

// Advance records the begin of a pairing.
func (c Connection) Advance() {
	if c.Progress != nil {
		c.Progress.Advance()
	}
}

// Prove records a proof of the caller.
func (c Connection) Prove() {
	if c.Progress != nil {
		c.Progress.Prove()
	}
}

// Source is what limits are keyed by.
func (c Connection) Source() netip.Prefix { return Source(c.Address) }

// Source is an IPv4 address or an IPv6 /64, which is what one customer of a provider
// has. Whatever has no address shares the zero Prefix.
func Source(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

type (
	identityKey   struct{}
	connectionKey struct{}
)

// With returns a context that carries id, for the interceptors and for tests.
func With(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// From returns the calling machine; false on the pairing listener and outside a call.
func From(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// WithConnection returns a context that carries c.
func WithConnection(ctx context.Context, c Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// ConnectionOf returns the connection a call came in on; false outside a call.
func ConnectionOf(ctx context.Context) (Connection, bool) {
	c, ok := ctx.Value(connectionKey{}).(Connection)
	return c, ok
}
