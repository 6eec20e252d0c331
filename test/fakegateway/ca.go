package fakegateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
)

// CA is a certificate authority of a test.
type CA struct {
	// Backdate is the time by which NotBefore of a certificate precedes its creation; at least a
	// second.
	Backdate time.Duration
	cert     *x509.Certificate
	key      *ecdsa.PrivateKey
}

// NewCA returns a new authority.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	key := NewKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return &CA{cert: sign(t, template, template, &key.PublicKey, key), key: key}
}

// NewKey returns a new P-256 key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Bundle returns the trust bundle of the authority.
func (ca *CA) Bundle(t testing.TB) identity.Bundle {
	t.Helper()
	bundle, err := identity.ParseBundle(identity.MarshalCertificatesPEM(ca.cert))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// Pin returns the fingerprint by which a QR code names the authority.
func (ca *CA) Pin() string { return identity.FingerprintSPKIDER(ca.cert.RawSubjectPublicKeyInfo) }

// IssueServer issues a gateway's certificate, with the authority's own certificate in the chain.
func (ca *CA) IssueServer(t testing.TB) tls.Certificate {
	t.Helper()
	key := NewKey(t)
	leaf := ca.issueLeaf(t, &x509.Certificate{DNSNames: []string{identity.ServerName}}, x509.ExtKeyUsageServerAuth, &key.PublicKey, time.Hour)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, ca.cert.Raw}, PrivateKey: key}
}

// IssueDevice issues a machine's certificate that is valid from now on for lifetime.
func (ca *CA) IssueDevice(t testing.TB, id identity.ID, key *ecdsa.PublicKey, lifetime time.Duration) *x509.Certificate {
	t.Helper()
	uri, err := url.Parse(id.URI())
	if err != nil {
		t.Fatal(err)
	}
	return ca.issueLeaf(t, &x509.Certificate{URIs: []*url.URL{uri}}, x509.ExtKeyUsageClientAuth, key, lifetime)
}

func (ca *CA) issueLeaf(t testing.TB, template *x509.Certificate, usage x509.ExtKeyUsage, key *ecdsa.PublicKey, lifetime time.Duration) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-max(ca.Backdate, time.Second)), time.Now().Add(lifetime)
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	return sign(t, template, ca.cert, key, ca.key)
}

func sign(t testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
