package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"slices"
	"testing"
	"time"
)

// now is the time at which the tests verify certificates.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// authority is a CA that signs any template of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB, change ...func(*x509.Certificate)) authority {
	t.Helper()
	return newAuthorityWithKey(t, newKey(t), change...)
}

// newAuthorityWithKey returns an authority with a given key; two authorities with the same key accept
// each other's leaves.
func newAuthorityWithKey(t testing.TB, key *ecdsa.PrivateKey, change ...func(*x509.Certificate)) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "device-ca"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	for _, c := range change {
		c(template)
	}
	return authority{cert: sign(t, template, template, key.Public(), key), key: key}
}

func sign(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// pool returns a pool with the authority as its only root.
func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// device issues a valid device certificate, with the given changes applied.
func (a authority) device(t testing.TB, pub crypto.PublicKey, change ...func(*x509.Certificate)) []*x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: now, NotAfter: now.Add(24 * time.Hour),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{mustURL(t, node.URI())},
	}
	for _, c := range change {
		c(template)
	}
	return []*x509.Certificate{sign(t, template, a.cert, pub, a.key)}
}

// server issues a valid gateway certificate, with the given changes applied.
func (a authority) server(t testing.TB, change ...func(*x509.Certificate)) []*x509.Certificate {
	t.Helper()
	serverOf := func(c *x509.Certificate) {
		c.URIs = nil
		c.DNSNames = []string{"gw.example.com", ServerName}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	return a.device(t, newKey(t).Public(), slices.Concat([]func(*x509.Certificate){serverOf}, change)...)
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// validFrom makes a certificate start at an offset from now.
func validFrom(offset time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = now.Add(offset), now.Add(offset+24*time.Hour)
	}
}

func withUsages(u ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = u }
}

// withRawSAN replaces the names by a subjectAltName with these raw GeneralNames.
func withRawSAN(names ...[]byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.URIs = nil
		c.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Critical: true, Value: tlv(tagSequence, names...)}}
	}
}
