package fakegateway

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// CA is an authority that issues certificates of a chosen lifetime.
type CA struct {
	*identitytest.Authority
	// Backdate is the time by which NotBefore of a certificate precedes its creation; at least a
	// second.
	Backdate time.Duration
}

// NewCA returns a new authority.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	return &CA{Authority: identitytest.NewAuthority(t, name,
		identitytest.ValidFrom(-48*time.Hour), identitytest.ValidUntil(240*time.Hour))}
}

// NewKey returns a new P-256 key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return identitytest.NewKey(t)
}

// IssueServer issues a gateway's certificate, with the authority's own certificate in the chain.
func (ca *CA) IssueServer(t testing.TB) tls.Certificate {
	t.Helper()
	leaf, key := ca.Authority.IssueServer(t, ca.validFor(time.Hour)...)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.Certificate.Raw}, PrivateKey: key}
}

// IssueDevice issues a machine's certificate that is valid from now on for lifetime.
func (ca *CA) IssueDevice(t testing.TB, id identity.ID, key *ecdsa.PublicKey, lifetime time.Duration) *x509.Certificate {
	t.Helper()
	return ca.Authority.IssueDevice(t, id, key, ca.validFor(lifetime)...)
}

func (ca *CA) validFor(lifetime time.Duration) []identitytest.Change {
	return []identitytest.Change{identitytest.ValidFrom(-max(ca.Backdate, time.Second)), identitytest.ValidUntil(lifetime)}
}
