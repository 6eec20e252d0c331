package identity

import (
	"crypto/x509"
	"errors"
	"testing"
)

func FuzzCheckRequest(f *testing.F) {
	key := fixedKey(f, 7)
	pin := fingerprintOf(f, key.Public())
	f.Add(validRequest(f, key).der(f))
	made, err := NewCSR(key, node)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made)
	for _, names := range [][][]byte{{uriName(node.URI()), tlv(0x82, []byte("x"))}, {tlv(0xa0, tlv(tagOID, []byte{0x2a}))}, nil} {
		forged := validRequest(f, key)
		forged.attributes = tlv(0xa0, extensionRequest(san(names...), san(names...)))
		f.Add(forged.der(f))
	}
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		if err := ValidateCSR(der, node, pin); err != nil {
			wantTypedError(t, err)
			return
		}
		seen, err := x509.ParseCertificateRequest(der)
		if err != nil || seen.CheckSignature() != nil || len(seen.Extensions) != 1 || len(seen.Subject.Names) > 0 ||
			len(seen.URIs) != 1 || seen.URIs[0].String() != node.URI() || fingerprintOf(t, seen.PublicKey) != pin {
			t.Fatalf("accepted %x", der)
		}
	})
}

// wantTypedError fails unless err is a typed refusal with any reason.
func wantTypedError(t *testing.T, err error) {
	t.Helper()
	var request *CSRError
	var certificate *CertificateError
	switch {
	case errors.As(err, &request) && request.Reason != "":
	case errors.As(err, &certificate) && certificate.Reason != "":
	default:
		t.Fatalf("%v is not a typed refusal", err)
	}
}
