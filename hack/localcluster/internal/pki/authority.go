// Package pki creates the certificates of a local cluster: small ECDSA P-256 authorities on disk
// and short chains that they sign.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// AuthorityLifetime is the lifetime of a new authority, LeafLifetime that of the certificates it
// signs. Leaves are issued again at every start.
const (
	AuthorityLifetime = 10 * 365 * 24 * time.Hour
	LeafLifetime      = 365 * 24 * time.Hour
	backdate          = 5 * time.Minute // clocks of virtual machines jump
)

// Authority is a self-signed CA that signs leaf certificates.
type Authority struct {
	Cert *x509.Certificate
	key  crypto.Signer
	now  func() time.Time
}

// LoadOrCreate reads NAME.crt and NAME.key from dir, or creates and stores both when both are
// absent. Half a pair is an error: a new authority would invalidate the certificates of the old
// one.
func LoadOrCreate(dir, name string, now func() time.Time) (*Authority, error) {
	certPath, keyPath := filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	certPEM, certErr := os.ReadFile(certPath)
	keyPEM, keyErr := os.ReadFile(keyPath)
	switch {
	case certErr == nil && keyErr == nil:
		return parseAuthority(name, certPEM, keyPEM, now)
	case errors.Is(certErr, fs.ErrNotExist) && errors.Is(keyErr, fs.ErrNotExist):
		return createAuthority(dir, name, now)
	default:
		return nil, fmt.Errorf("authority %q in %s is incomplete (%w): delete the cluster with localcluster down --purge",
			name, dir, errors.Join(certErr, keyErr))
	}
}

func createAuthority(dir, name string, now func() time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key of authority %q: %w", name, err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "localcluster-" + name},
		NotBefore:             now().Add(-backdate),
		NotAfter:              now().Add(AuthorityLifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign authority %q: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse authority %q: %w", name, err)
	}
	authority := &Authority{Cert: cert, key: key, now: now}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	pair := Pair{CertPEM: authority.CertPEM(), KeyPEM: keyPEM}
	return authority, pair.Store(dir, name)
}

func parseAuthority(name string, certPEM, keyPEM []byte, now func() time.Time) (*Authority, error) {
	cert, err := parseCertificate(certPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate of authority %q: %w", name, err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("key of authority %q: %w", name, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("authority %q: the key does not belong to the certificate: delete the cluster with localcluster down --purge", name)
	}
	if now().After(cert.NotAfter) {
		return nil, fmt.Errorf("authority %q expired at %s: delete the cluster with localcluster down --purge",
			name, cert.NotAfter.Format(time.RFC3339))
	}
	return &Authority{Cert: cert, key: key, now: now}, nil
}

// CertPEM returns the authority's certificate, for verifying its leaves.
func (a *Authority) CertPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw})
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("draw serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil // zero is not a serial (RFC 5280, 4.1.2.2)
}
