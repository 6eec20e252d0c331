package identity

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

const (
	certificateBlock = "CERTIFICATE"

	// MaxBundleBytes bounds a trust bundle in PEM, maxBundleCAs its certificates.
	MaxBundleBytes = 64 << 10
	maxBundleCAs   = 16
)

// noneSHA256 names the zero Bundle.
var noneSHA256 = hexSHA256(nil)

// ErrInvalidBundle is the cause of every refusal of ParseBundle and Merge.
var ErrInvalidBundle = errors.New("invalid trust bundle")

// Bundle is a set of CA certificates in the order they were given, each once.
// The zero Bundle trusts nobody.
type Bundle struct {
	cas []*x509.Certificate
	// pem and sha256 are made once: every sign of life of a machine asks for its bundle's name.
	pem, sha256 string
}

// ParseBundle reads 1 to 16 CA certificates in PEM. Text between the blocks is
// skipped, but a damaged block, a block of another kind and a certificate that
// is not a CA are refused: a bundle is used whole or not at all.
func ParseBundle(text []byte) (Bundle, error) {
	if len(text) > MaxBundleBytes {
		return Bundle{}, fmt.Errorf("%w: longer than %d bytes", ErrInvalidBundle, MaxBundleBytes)
	}
	var cas []*x509.Certificate
	begun := bytes.Count(text, []byte("-----BEGIN"))
	for range begun {
		block, rest := pem.Decode(text)
		if block == nil {
			// pem.Decode jumps over what it cannot read; then blocks are missing here.
			return Bundle{}, fmt.Errorf("%w: a PEM block is damaged", ErrInvalidBundle)
		}
		text = rest
		if block.Type != certificateBlock {
			return Bundle{}, fmt.Errorf("%w: it holds a PEM block %q, only %q is allowed", ErrInvalidBundle, clip(block.Type), certificateBlock)
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return Bundle{}, fmt.Errorf("%w: %w", ErrInvalidBundle, err)
		}
		if !ca.IsCA || !ca.BasicConstraintsValid {
			return Bundle{}, fmt.Errorf("%w: the certificate of %q is not a CA", ErrInvalidBundle, clip(ca.Subject.String()))
		}
		cas = append(cas, ca)
	}
	return newBundle(cas)
}

// newBundle drops repeated certificates and keeps the order.
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
	var out bytes.Buffer
	for _, ca := range unique {
		if err := pem.Encode(&out, &pem.Block{Type: certificateBlock, Bytes: ca.Raw}); err != nil {
			return Bundle{}, fmt.Errorf("%w: %w", ErrInvalidBundle, err)
		}
	}
	return Bundle{cas: unique, pem: out.String(), sha256: hexSHA256(out.Bytes())}, nil
}

// Certificates are the CAs, in order.
func (b Bundle) Certificates() []*x509.Certificate { return slices.Clone(b.cas) }

// Pool is the bundle as roots. It is never nil, so a zero Bundle admits nobody.
func (b Bundle) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, ca := range b.cas {
		pool.AddCert(ca)
	}
	return pool
}

// PEM is the canonical form: the certificates in order, each once, nothing else.
// ParseBundle of it gives the same bundle.
func (b Bundle) PEM() []byte { return []byte(b.pem) }

// SHA256 names the bundle: of its PEM, as 64 lower-case hex digits. The order
// counts; whoever publishes a bundle keeps its order.
func (b Bundle) SHA256() string { return cmp.Or(b.sha256, noneSHA256) }

// ServerName is the SNI to ask for a chain under the first CA with, the one in use when
// the bundle was made; see ServerNameUnder.
func (b Bundle) ServerName() string {
	if len(b.cas) == 0 {
		return ServerName
	}
	return ServerNameUnder(FingerprintSPKIDER(b.cas[0].RawSubjectPublicKeyInfo))
}

// Merge is the union: b first, then what only other has. It errs
// (ErrInvalidBundle) when that is nothing, or more than a bundle may hold.
func (b Bundle) Merge(other Bundle) (Bundle, error) {
	return newBundle(slices.Concat(b.cas, other.cas))
}
