// Package peer holds the facts that the gateway's listeners prove about a caller, as typed values
// in the context of a call. The interceptors of package gateway put them there; services only read
// them. No request message names its caller.
package peer

import (
	"context"
	"crypto/x509"
	"net/netip"

	"github.com/mooring-dev/mooring/internal/identity"
)

// Identity is the identity of a machine, proven by its client certificate on the node listener. The
// certificate has been verified (identity.VerifyPeer) before a service reads it. The Authorizer has
// compared the key with the pin of a live Node.
type Identity struct {
	// ID is the Node: trust domain, namespace and name from the URI SAN.
	ID identity.ID
	// PublicKeySHA256 is the fingerprint of the machine's key, to be compared with the pin: 64
	// lower-case hex digits.
	PublicKeySHA256 string
	// CertificateSHA256 is the fingerprint of Certificate: 64 lower-case hex digits.
	CertificateSHA256 string
	// Certificate is the leaf that the machine presented.
	Certificate *x509.Certificate
	// Exporter is the TLS exporter of the machine's connection (pairing.ExporterLabel), 32 bytes.
	Exporter []byte
}

// Connection describes the TLS connection of any caller.
type Connection struct {
	// Address is the address of the socket peer. Limits use it; it never identifies a caller.
	Address netip.Addr
	// Exporter is the TLS exporter (pairing.ExporterLabel), 32 bytes: the same on both
	// ends, different on every connection, so it also names the connection.
	Exporter []byte
	// Progress records the steps of the caller; nil on connections that no listener accepted.
	Progress Progress
}

// Progress protects a connection of the pairing listener from being closed to make room for
// another.
type Progress interface {
	// MarkAdvanced records the begin of a pairing. The caller then has a short time for its proof.
	MarkAdvanced()
	// MarkProven records a proof: the caller has a code, a token or the key of a request or a Node.
	MarkProven()
}

// MarkAdvanced records the begin of a pairing.
func (c Connection) MarkAdvanced() {
	if c.Progress != nil {
		c.Progress.MarkAdvanced()
	}
}

// MarkProven records a proof of the caller.
func (c Connection) MarkProven() {
	if c.Progress != nil {
		c.Progress.MarkProven()
	}
}

// Source returns the prefix that limits are keyed by.
func (c Connection) Source() netip.Prefix { return Source(c.Address) }

// Source returns the IPv4 address or the IPv6 /64 of an address. A provider gives one customer a
// /64. Callers without an address share the zero Prefix.
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

// NewContext returns a context that carries id, for the interceptors and for tests.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// FromContext returns the calling machine. It returns false on the pairing listener and outside a
// call.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// WithConnection returns a context that carries c.
func WithConnection(ctx context.Context, c Connection) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// ConnectionFromContext returns the connection of a call. It returns false outside a call.
func ConnectionFromContext(ctx context.Context) (Connection, bool) {
	c, ok := ctx.Value(connectionKey{}).(Connection)
	return c, ok
}
