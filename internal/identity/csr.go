package identity

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/url"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxCSRBytes bounds a certificate request in DER. A request of an agent is below 700 bytes
// even with the longest names.
const MaxCSRBytes = 2048

var (
	oidExtensionRequest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 14}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}

	// ecdsaWithSHA256 is the AlgorithmIdentifier of RFC 5758, parameters absent.
	ecdsaWithSHA256 = []byte{0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}
)

// NewCSR makes the only certificate request that [ValidateCSR] accepts for id. It is a PKCS#10
// in DER with an empty subject and one URI SAN, signed by key (ECDSA P-256).
func NewCSR(key crypto.Signer, id ID) ([]byte, error) {
	if err := id.Validate(); err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	if _, err := asP256Key(key.Public()); err != nil {
		return nil, fmt.Errorf("make certificate request for %s: %w", id, err)
	}
	uri, err := url.Parse(id.URI())
	if err != nil {
		return nil, fmt.Errorf("make certificate request for %s: %w", id, err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		SignatureAlgorithm: x509.ECDSAWithSHA256,
		URIs:               []*url.URL{uri},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request for %s: %w", id, err)
	}
	return der, nil
}

// ValidateCSR decides whether a PKCS#10 request asks for exactly the certificate that its machine
// may have. It must have want as the only URI SAN, no other content, and the key with the
// fingerprint pin (lower-case hex). The error is a [CSRError].
//
// It walks the raw DER because cert-manager copies subject and SAN as raw bytes: elements that a
// parser skips would still end up in the certificate.
func ValidateCSR(der []byte, want ID, pin string) error {
	if err := want.Validate(); err != nil {
		return csrErrorf(ReasonInvalidIdentity, "%v", err)
	}
	if len(der) > MaxCSRBytes {
		return csrErrorf(ReasonRequestTooLarge, "%d bytes, at most %d are read", len(der), MaxCSRBytes)
	}
	body, err := requestBody(der)
	if err != nil {
		return err
	}
	if err := checkSubjectAndKey(&body, pin); err != nil {
		return err
	}
	extension, err := parseRequestedSAN(&body)
	if err != nil {
		return err
	}
	uri, err := parseSingleURI(extension)
	if err != nil {
		return csrErrorf(ReasonUnexpectedName, "%v", err)
	}
	if uri != want.URI() {
		return csrErrorf(ReasonWrongIdentity, "asks for %q, may have %q", truncate(uri), want.URI())
	}
	return checkSignature(der, want)
}

// requestBody opens the CertificationRequest and checks its frame. It returns the content of the
// CertificationRequestInfo after the version.
func requestBody(der []byte) (cryptobyte.String, error) {
	var request, body, algorithm cryptobyte.String
	var signature []byte
	var version int
	input := cryptobyte.String(der)
	if !input.ReadASN1(&request, cbasn1.SEQUENCE) {
		return nil, csrErrorf(ReasonMalformedRequest, "not a PKCS#10 request in DER")
	}
	if !input.Empty() {
		return nil, csrErrorf(ReasonTrailingData, "%d bytes after the request", len(input))
	}
	if !request.ReadASN1(&body, cbasn1.SEQUENCE) ||
		!request.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) ||
		!request.ReadASN1BitStringAsBytes(&signature) {
		return nil, csrErrorf(ReasonMalformedRequest, "not the structure of a PKCS#10 request")
	}
	if !request.Empty() {
		return nil, csrErrorf(ReasonTrailingData, "%d bytes after the signature", len(request))
	}
	if !body.ReadASN1Integer(&version) || version != 0 {
		return nil, csrErrorf(ReasonMalformedRequest, "not version 1 of PKCS#10")
	}
	if !bytes.Equal(algorithm, ecdsaWithSHA256) {
		return nil, csrErrorf(ReasonUnsupportedSignature, "signature algorithm is not ecdsa-with-SHA256")
	}
	return body, nil
}

// checkSubjectAndKey reads and checks the next two fields of the body.
func checkSubjectAndKey(body *cryptobyte.String, pin string) error {
	var subject, key cryptobyte.String
	if !body.ReadASN1(&subject, cbasn1.SEQUENCE) || !body.ReadASN1Element(&key, cbasn1.SEQUENCE) {
		return csrErrorf(ReasonMalformedRequest, "subject or public key is missing")
	}
	if !subject.Empty() {
		return csrErrorf(ReasonSubjectNotEmpty, "the subject must be empty, the identity is the URI")
	}
	if _, err := ParsePublicKeyDER(key); err != nil {
		return csrErrorf(ReasonUnsupportedKey, "%v", err)
	}
	if got := FingerprintSPKIDER(key); got != pin {
		return csrErrorf(ReasonKeyMismatch, "made with key %s, pinned is %s", got, truncate(pin))
	}
	return nil
}

// parseRequestedSAN reads the attributes, which are the last field of the body, and returns the
// content of the only subjectAltName that they may contain.
func parseRequestedSAN(body *cryptobyte.String) ([]byte, error) {
	var attributes, attribute, values, extensions cryptobyte.String
	if !body.ReadASN1(&attributes, cbasn1.Tag(0).ContextSpecific().Constructed()) || !body.Empty() {
		return nil, csrErrorf(ReasonMalformedRequest, "attributes are missing or followed by something else")
	}
	var oid asn1.ObjectIdentifier
	if !attributes.ReadASN1(&attribute, cbasn1.SEQUENCE) || !attribute.ReadASN1ObjectIdentifier(&oid) {
		return nil, csrErrorf(ReasonUnexpectedAttribute, "want exactly one attribute, extensionRequest; there is none")
	}
	if !oid.Equal(oidExtensionRequest) || !attributes.Empty() {
		return nil, csrErrorf(ReasonUnexpectedAttribute, "want exactly one attribute, extensionRequest; there are others")
	}
	if !attribute.ReadASN1(&values, cbasn1.SET) || !attribute.Empty() ||
		!values.ReadASN1(&extensions, cbasn1.SEQUENCE) || !values.Empty() {
		return nil, csrErrorf(ReasonUnexpectedAttribute, "extensionRequest must hold exactly one list of extensions")
	}
	return parseSingleSAN(extensions)
}

// parseSingleSAN returns the value of a list of extensions that must contain only one
// subjectAltName.
func parseSingleSAN(extensions cryptobyte.String) ([]byte, error) {
	var extension, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !extensions.ReadASN1(&extension, cbasn1.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) {
		return nil, csrErrorf(ReasonUnexpectedExtension, "want exactly one extension, subjectAltName; there is none")
	}
	if !oid.Equal(oidSubjectAltName) {
		return nil, csrErrorf(ReasonUnexpectedExtension, "asks for extension %s; only subjectAltName is allowed", oid)
	}
	if !extensions.Empty() {
		return nil, csrErrorf(ReasonUnexpectedExtension, "asks for more than one extension")
	}
	if extension.PeekASN1Tag(cbasn1.BOOLEAN) {
		var critical bool
		// DER omits default values, so an explicit FALSE is malformed.
		if !extension.ReadASN1Boolean(&critical) || !critical {
			return nil, csrErrorf(ReasonMalformedRequest, "the criticality of subjectAltName is not DER")
		}
	}
	if !extension.ReadASN1(&value, cbasn1.OCTET_STRING) || !extension.Empty() {
		return nil, csrErrorf(ReasonMalformedRequest, "subjectAltName is malformed")
	}
	return value, nil
}

// checkSignature checks the proof of possession with the parser that cert-manager uses. It rejects
// the request if that parser finds other names than the checks before.
func checkSignature(der []byte, want ID) error {
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return csrErrorf(ReasonMalformedRequest, "%v", err)
	}
	if len(request.URIs) != 1 || request.URIs[0].String() != want.URI() ||
		len(request.DNSNames)+len(request.IPAddresses)+len(request.EmailAddresses) > 0 {
		return csrErrorf(ReasonUnexpectedName, "names are ambiguous")
	}
	if err := request.CheckSignature(); err != nil {
		return csrErrorf(ReasonBadSignature, "not signed by its own key: %v", err)
	}
	return nil
}
