package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
)

var node = ID{TrustDomain: "mooring.example", Namespace: "fleet-a", Node: "press-7"}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fixedKey returns the same key for the same number. Fuzzing runs in several processes, which must
// use the same signers.
func fixedKey(t testing.TB, number byte) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{number}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func fingerprintOf(t testing.TB, pub crypto.PublicKey) string {
	t.Helper()
	pin, err := FingerprintSPKI(pub)
	if err != nil {
		t.Fatal(err)
	}
	return pin
}

// tlv returns one DER element, whose content is the concatenation of the parts.
func tlv(tag byte, parts ...[]byte) []byte {
	content := slices.Concat(parts...)
	switch n := len(content); {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, content...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	default:
		return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
	}
}

const (
	tagBoolean, tagInteger, tagBitString, tagOctets, tagOID = 0x01, 0x02, 0x03, 0x04, 0x06
	tagUTF8, tagSequence, tagSet                            = 0x0c, 0x30, 0x31
)

var (
	derExtensionRequest  = tlv(tagOID, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e})
	derChallengePassword = tlv(tagOID, []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07})
	derSubjectAltName    = tlv(tagOID, []byte{0x55, 0x1d, 0x11})
	derBasicConstraints  = tlv(tagOID, []byte{0x55, 0x1d, 0x13})
	derKeyUsage          = tlv(tagOID, []byte{0x55, 0x1d, 0x0f})
	derCommonName        = tlv(tagOID, []byte{0x55, 0x04, 0x03})
	derCritical          = tlv(tagBoolean, []byte{0xff})
)

func uriName(uri string) []byte { return tlv(0x86, []byte(uri)) }

// san returns a subjectAltName extension with the given names.
func san(names ...[]byte) []byte {
	return tlv(tagSequence, derSubjectAltName, tlv(tagOctets, tlv(tagSequence, names...)))
}

// extensionRequest returns the attribute that requests the given extensions.
func extensionRequest(extensions ...[]byte) []byte {
	return tlv(tagSequence, derExtensionRequest, tlv(tagSet, tlv(tagSequence, extensions...)))
}

func commonName(names ...string) []byte {
	var parts [][]byte
	for _, name := range names {
		parts = append(parts, tlv(tagSet, tlv(tagSequence, derCommonName, tlv(tagUTF8, []byte(name)))))
	}
	return tlv(tagSequence, parts...)
}

// forgery is a PKCS#10 request that a test assembles from arbitrary parts and signs.
type forgery struct {
	version    []byte
	subject    []byte
	key        []byte
	attributes []byte
	afterBody  []byte
	algorithm  []byte
	signer     *ecdsa.PrivateKey
	signature  []byte // replaces the valid signature
	afterSig   []byte
}

// validRequest returns the request that [NewCSR] makes, field by field.
func validRequest(t testing.TB, key *ecdsa.PrivateKey) forgery {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return forgery{
		version:    tlv(tagInteger, []byte{0}),
		subject:    tlv(tagSequence),
		key:        spki,
		attributes: tlv(0xa0, extensionRequest(san(uriName(node.URI())))),
		algorithm:  ecdsaWithSHA256,
		signer:     key,
	}
}

func (f forgery) der(t testing.TB) []byte {
	t.Helper()
	body := tlv(tagSequence, f.version, f.subject, f.key, f.attributes, f.afterBody)
	signature := f.signature
	if signature == nil {
		digest := sha256.Sum256(body)
		var err error
		if signature, err = ecdsa.SignASN1(rand.Reader, f.signer, digest[:]); err != nil {
			t.Fatal(err)
		}
	}
	return tlv(tagSequence, body, f.algorithm, tlv(tagBitString, []byte{0}, signature), f.afterSig)
}

// wantRequestError fails unless err is a [CSRError] with that reason.
func wantRequestError(t *testing.T, err error, reason string) {
	t.Helper()
	var refusal *CSRError
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a RequestError %s", err, reason)
	}
	if refusal.Reason != reason || refusal.Detail == "" {
		t.Fatalf("got %v, want reason %s and a detail", err, reason)
	}
}

// wantCertificateError fails unless err is a *CertificateError with that reason.
func wantCertificateError(t *testing.T, err error, reason string) {
	t.Helper()
	var refusal *CertificateError
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a CertificateError %s", err, reason)
	}
	if refusal.Reason != reason || refusal.Detail == "" {
		t.Fatalf("got %v, want reason %s and a detail", err, reason)
	}
}
