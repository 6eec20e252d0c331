package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// ErrUnsupportedKey means that a public key is not an ECDSA key on P-256, the only type that
// devices use.
var ErrUnsupportedKey = errors.New("not an ECDSA P-256 public key")

// maxPublicKeyBytes bounds a public key in PEM; a P-256 key takes 178.
const maxPublicKeyBytes = 1024

// FingerprintSPKI returns the pin of a public key of any type: the SHA-256 of its
// SubjectPublicKeyInfo in DER, as 64 lower-case hex digits.
func FingerprintSPKI(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	return FingerprintSPKIDER(der), nil
}

// FingerprintSPKIDER returns the FingerprintSPKI of a key that is already encoded.
func FingerprintSPKIDER(der []byte) string { return hexSHA256(der) }

// FingerprintCertificate returns the SHA-256 of a certificate's DER, as 64 lower-case hex digits.
func FingerprintCertificate(cert *x509.Certificate) string { return hexSHA256(cert.Raw) }

// FingerprintCSR returns the SHA-256 of the DER of a certificate request, which identifies the
// request, as 64 lower-case hex digits.
func FingerprintCSR(der []byte) string { return hexSHA256(der) }

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// ParsePublicKeyDER reads a SubjectPublicKeyInfo. It accepts only ECDSA P-256 in its canonical
// encoding, so a key has one fingerprint.
func ParsePublicKeyDER(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) > maxPublicKeyBytes {
		return nil, fmt.Errorf("parse public key: longer than %d bytes: %w", maxPublicKeyBytes, ErrUnsupportedKey)
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w: %w", ErrUnsupportedKey, err)
	}
	pub, err := asP256Key(parsed)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	canonical, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil || !bytes.Equal(canonical, der) {
		return nil, fmt.Errorf("parse public key: not in canonical form: %w", ErrUnsupportedKey)
	}
	return pub, nil
}

// ParsePublicKeyPEM reads exactly one PEM block PUBLIC KEY; see ParsePublicKeyDER.
func ParsePublicKeyPEM(text []byte) (*ecdsa.PublicKey, error) {
	if len(text) > maxPublicKeyBytes {
		return nil, fmt.Errorf("parse public key: longer than %d bytes: %w", maxPublicKeyBytes, ErrUnsupportedKey)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != publicKeyBlock || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 ||
		!bytes.HasPrefix(bytes.TrimSpace(text), []byte("-----BEGIN")) {
		return nil, fmt.Errorf("parse public key: want exactly one PEM block %q: %w", publicKeyBlock, ErrUnsupportedKey)
	}
	return ParsePublicKeyDER(block.Bytes)
}

// MarshalPublicKeyPEM encodes a public key for [ParsePublicKeyPEM]. It returns ErrUnsupportedKey
// for every key except ECDSA P-256.
func MarshalPublicKeyPEM(pub crypto.PublicKey) ([]byte, error) {
	key, err := asP256Key(pub)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicKeyBlock, Bytes: der}), nil
}

func asP256Key(pub crypto.PublicKey) (*ecdsa.PublicKey, error) {
	key, ok := pub.(*ecdsa.PublicKey)
	if !ok || key == nil || key.Curve != elliptic.P256() {
		return nil, ErrUnsupportedKey
	}
	return key, nil
}
