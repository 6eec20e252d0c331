package identity

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
)

const (
	// MaxBundleBytes bounds a trust bundle in PEM; maxBundleCAs bounds its number of certificates.
	MaxBundleBytes = 64 << 10
	maxBundleCAs   = 16
)

// emptyBundleSHA256 is the hash of the zero Bundle.
var emptyBundleSHA256 = hexSHA256(nil)

// ErrInvalidBundle is wrapped by every error of ParseBundle and Merge.
var ErrInvalidBundle = errors.New("invalid trust bundle")

// Bundle is a set of CA certificates in the given order, without duplicates. The zero Bundle
// contains no CA, so it verifies nothing.
type Bundle struct {
	cas []*x509.Certificate
	// pem and sha256 are computed once, because every heartbeat of a machine needs the bundle's
	// hash.
	pem, sha256 string
}

// ParseBundle reads 1 to 16 CA certificates in PEM. It skips text between the blocks. It rejects
// the whole bundle for a damaged block, a block of another type or a certificate that is not a CA.
func ParseBundle(text []byte) (Bundle, error) {
	if len(text) > MaxBundleBytes {
		return Bundle{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalidBundle, MaxBundleBytes)
	}
	ders, err := decodeCertificatesPEM(text)
	if err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrInvalidBundle, err)
	}
	var cas []*x509.Certificate
	for _, der := range ders {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return Bundle{}, fmt.Errorf("%w: %w", ErrInvalidBundle, err)
		}
		if !ca.IsCA || !ca.BasicConstraintsValid {
			return Bundle{}, fmt.Errorf("%w: the certificate of %q is not a CA", ErrInvalidBundle, truncate(ca.Subject.String()))
		}
		cas = append(cas, ca)
	}
	return newBundle(cas)
}

// newBundle removes duplicate certificates and keeps the order.
func newBundle(cas []*x509.Certificate) (Bundle, error) {
	var unique []*x509.Certificate
	for _, ca := range cas {
		if !slices.ContainsFunc(unique, ca.Equal) {
			unique = append(unique, ca)
		}
	}
	if len(unique) == 0 || len(unique) > maxBundleCAs {
		return Bundle{}, fmt.Errorf("%w: %d certificates, want 1 to %d", ErrInvalidBundle, len(unique), maxBundleCAs)
	}
	text := MarshalCertificatesPEM(unique...)
	return Bundle{cas: unique, pem: string(text), sha256: hexSHA256(text)}, nil
}

// Certificates returns the CAs, in order.
func (b Bundle) Certificates() []*x509.Certificate { return slices.Clone(b.cas) }

// Pool returns the CAs as a pool of roots. It is never nil, so a zero Bundle verifies no
// certificate.
func (b Bundle) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range b.cas {
		pool.AddCert(ca)
	}
	return pool
}

// PEM returns the canonical form: the certificates in order, without duplicates or other text.
// ParseBundle of that form returns the same bundle.
func (b Bundle) PEM() []byte { return []byte(b.pem) }

// SHA256 returns the hash of PEM as 64 lower-case hex digits, which identifies the bundle. The
// order of the CAs changes the hash, so a publisher must keep the order of its bundle.
func (b Bundle) SHA256() string { return cmp.Or(b.sha256, emptyBundleSHA256) }

// ServerName returns the SNI that requests a chain under the first CA, the CA in use when the
// bundle was made; see [ServerNameForCA].
func (b Bundle) ServerName() string {
	if len(b.cas) == 0 {
		return ServerName
	}
	return ServerNameForCA(FingerprintSPKIDER(b.cas[0].RawSubjectPublicKeyInfo))
}

// Merge returns the union: the CAs of b, then those that only other contains. It returns
// ErrInvalidBundle when the union is empty or exceeds the limit of a bundle.
func (b Bundle) Merge(other Bundle) (Bundle, error) {
	return newBundle(slices.Concat(b.cas, other.cas))
}
