// Package pki makes keys of machines, and a CA that signs like cert-manager, for tests of the
// reconcilers.
package pki

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// DeviceKey returns a key of a machine and its fingerprint.
func DeviceKey(t testing.TB) (key *ecdsa.PrivateKey, fingerprint string) {
	t.Helper()
	key = identitytest.NewKey(t)
	fingerprint, err := identity.FingerprintSPKI(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, fingerprint
}

// CA signs certificates of an hour.
type CA struct {
	// Certificate is the certificate of the CA itself, which is valid for a day.
	Certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA returns a CA with a new key that is valid from start.
func NewCA(t testing.TB, name string, start time.Time) CA {
	t.Helper()
	key := identitytest.NewKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: start, NotAfter: start.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	return CA{Certificate: sign(t, template, template, &key.PublicKey, key), key: key}
}

// Sign returns a certificate for a public key.
func (ca CA) Sign(t testing.TB, subject pkix.Name, public any) *x509.Certificate {
	t.Helper()
	start := ca.Certificate.NotBefore
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: subject, NotBefore: start, NotAfter: start.Add(time.Hour)}
	return sign(t, template, ca.Certificate, public, ca.key)
}

// SignRequest returns the certificate for a certificate request, both in DER.
func (ca CA) SignRequest(t testing.TB, request []byte) *x509.Certificate {
	t.Helper()
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	return ca.Sign(t, csr.Subject, csr.PublicKey)
}

func sign(t testing.TB, template, parent *x509.Certificate, public any, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
