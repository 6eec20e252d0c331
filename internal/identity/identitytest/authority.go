// Package identitytest makes certificate authorities, and valid and invalid certificates, for the
// tests of the code that verifies them.
package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
)

// Authority is a CA with its key.
type Authority struct {
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewKey returns a new device or server key.
func NewKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// NewAuthority makes a self-signed CA with that subject, valid from a day ago for a year.
func NewAuthority(t testing.TB, subject string, changes ...Change) *Authority {
	t.Helper()
	a := &Authority{key: NewKey(t)}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: subject}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	for _, change := range changes {
		change(template)
	}
	a.Certificate = a.sign(t, template, template, &a.key.PublicKey)
	return a
}

// LoadAuthority returns the CA of a certificate and its key, both given in PEM.
func LoadAuthority(t testing.TB, certificate, key []byte) *Authority {
	t.Helper()
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	private, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the key of the CA is a %T", pair.PrivateKey)
	}
	return &Authority{Certificate: pair.Leaf, key: private}
}

func (a *Authority) sign(t testing.TB, template, parent *x509.Certificate, pub *ecdsa.PublicKey) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// PEM returns the CA as a bundle.
func (a *Authority) PEM() string { return string(identity.MarshalCertificatesPEM(a.Certificate)) }

// Bundle returns the CA as a trust bundle.
func (a *Authority) Bundle(t testing.TB) identity.Bundle {
	t.Helper()
	bundle, err := identity.ParseBundle([]byte(a.PEM()))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// Pin returns the fingerprint by which a QR code names the CA.
func (a *Authority) Pin() string {
	return identity.FingerprintSPKIDER(a.Certificate.RawSubjectPublicKeyInfo)
}

// Change modifies a template before it is signed.
type Change func(*x509.Certificate)

// ValidFrom sets NotBefore relative to now.
func ValidFrom(after time.Duration) Change {
	return func(c *x509.Certificate) { c.NotBefore = time.Now().Add(after) }
}

// ValidUntil sets NotAfter relative to now.
func ValidUntil(after time.Duration) Change {
	return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(after) }
}

// WithUsages replaces the extended key usages.
func WithUsages(usage ...x509.ExtKeyUsage) Change {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usage }
}

// WithURI adds a second URI.
func WithURI(uri string) Change {
	return func(c *x509.Certificate) { c.URIs = append(c.URIs, mustURL(uri)) }
}

// WithDNSName adds a DNS name.
func WithDNSName(name string) Change {
	return func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, name) }
}

// IssueDevice issues a device certificate for key; changes can make it invalid.
func (a *Authority) IssueDevice(t testing.TB, id identity.ID, key *ecdsa.PublicKey, changes ...Change) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		URIs: []*url.URL{mustURL(id.URI())}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		KeyUsage:  x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(23 * time.Hour),
	}
	for _, change := range changes {
		change(template)
	}
	return a.sign(t, template, a.Certificate, key)
}

// IssueDeviceTLS returns the certificate of [Authority.IssueDevice] as a TLS client certificate
// with a new key.
func (a *Authority) IssueDeviceTLS(t testing.TB, id identity.ID, changes ...Change) tls.Certificate {
	t.Helper()
	key := NewKey(t)
	leaf := a.IssueDevice(t, id, &key.PublicKey, changes...)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// IssueServer issues a gateway certificate and returns it with its key.
func (a *Authority) IssueServer(t testing.TB, changes ...Change) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key := NewKey(t)
	template := &x509.Certificate{
		DNSNames: []string{identity.ServerName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage:  x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	for _, change := range changes {
		change(template)
	}
	return a.sign(t, template, a.Certificate, &key.PublicKey), key
}

// WriteServerCertificate issues a gateway certificate into dir/current, which is a symlink that it
// replaces.
func (a *Authority) WriteServerCertificate(t testing.TB, dir string, changes ...Change) *x509.Certificate {
	t.Helper()
	cert, key := a.IssueServer(t, changes...)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	SwapTLSDir(t, dir, identity.MarshalCertificatesPEM(cert), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return cert
}

// SwapTLSDir replaces both files at the same instant.
func SwapTLSDir(t testing.TB, dir string, certificate, key []byte) {
	t.Helper()
	version, err := os.MkdirTemp(dir, "version-")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"tls.crt": certificate, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(version, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := version + ".link"
	if err := os.Symlink(filepath.Base(version), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link, filepath.Join(dir, "current")); err != nil {
		t.Fatal(err)
	}
}

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}
