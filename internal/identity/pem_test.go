package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"testing"
)

func TestAChainInPEMReadsBackAsItWasWritten(t *testing.T) {
	ca := newAuthority(t)
	leaf := ca.device(t, newKey(t).Public())[0]
	text := MarshalCertificatesPEM(leaf, ca.cert)
	for name, written := range map[string][]byte{
		"as written":            text,
		"with text in between":  slices.Concat([]byte("subject: leaf\n"), MarshalCertificatesPEM(leaf), []byte("\nissuer\n"), MarshalCertificatesPEM(ca.cert), []byte("end\n")),
		"without a final break": bytes.TrimSpace(text),
	} {
		chain, err := ParseChainPEM(written)
		if err != nil || !slices.EqualFunc(chain, []*x509.Certificate{leaf, ca.cert}, (*x509.Certificate).Equal) {
			t.Errorf("%s: %d certificates, %v", name, len(chain), err)
		}
	}
	again, err := ParseChain(MarshalChain([]*x509.Certificate{leaf, ca.cert}))
	if err != nil || len(again) != 2 || !again[0].Equal(leaf) || !again[1].Equal(ca.cert) {
		t.Errorf("in DER: %d certificates, %v", len(again), err)
	}
}

func TestAChainInPEMThatIsNotWholeIsRefused(t *testing.T) {
	ca := newAuthority(t)
	text := ca.pem()
	for name, c := range map[string]struct {
		text   []byte
		reason string
	}{
		"nothing":                 {nil, ReasonNoCertificate},
		"text only":               {[]byte("none"), ReasonNoCertificate},
		"a block without its end": {slices.Concat(text, text[:len(text)-10]), ReasonMalformedChain},
		"a damaged block first":   {slices.Concat(text[:100], []byte("\n"), text), ReasonMalformedChain},
		"a private key":           {slices.Concat(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})), ReasonMalformedChain},
		"a request":               {MarshalCSRPEM(ca.cert.Raw), ReasonMalformedChain},
		"rubbish in a block":      {pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: []byte("rubbish")}), ReasonMalformedChain},
		"too many":                {bytes.Repeat(text, maxChainLength+1), ReasonMalformedChain},
	} {
		t.Run(name, func(t *testing.T) {
			var refused *CertificateError
			if chain, err := ParseChainPEM(c.text); !errors.As(err, &refused) || refused.Reason != c.reason {
				t.Errorf("got %d certificates, %v, want %s", len(chain), err, c.reason)
			}
		})
	}
}

func TestACSRInPEMIsOneBlock(t *testing.T) {
	block, rest := pem.Decode(MarshalCSRPEM([]byte("der")))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || string(block.Bytes) != "der" || len(rest) > 0 {
		t.Errorf("%+v, then %q", block, rest)
	}
	if got := FingerprintCSR([]byte("abc")); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("the fingerprint is %s", got)
	}
}
