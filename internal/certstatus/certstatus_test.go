package certstatus

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

func TestACertificateIsDescribedByItsFingerprints(t *testing.T) {
	certificate := identitytest.NewAuthority(t, "ca").Certificate
	notBefore, notAfter := metav1.NewTime(certificate.NotBefore), metav1.NewTime(certificate.NotAfter)
	pin, err := identity.FingerprintSPKI(certificate.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.CertificateInfo{
		SerialNumber: certificate.SerialNumber.Text(16), FingerprintSHA256: identity.FingerprintCertificate(certificate),
		PublicKeySHA256: pin, NotBefore: &notBefore, NotAfter: &notAfter,
	}
	if diff := cmp.Diff(want, Describe(certificate)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if Describe(nil) != nil {
		t.Error("no certificate has a description")
	}
}

func TestAnAnswerIsForExactlyOneRequest(t *testing.T) {
	issued := &v1alpha1.IssuedCertificate{RequestSHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"} // of abc
	if !Answers(issued, []byte("abc")) || Answers(issued, []byte("abd")) || Answers(nil, []byte("abc")) {
		t.Error("the answer is matched with another request")
	}
}

func TestAPublishedChainIsReadAsAWhole(t *testing.T) {
	leaf, ca := identitytest.NewAuthority(t, "leaf").Certificate, identitytest.NewAuthority(t, "ca").Certificate
	text := string(identity.MarshalCertificatesPEM(leaf, ca))
	chain, err := ParseChain(&v1alpha1.IssuedCertificate{Chain: text})
	if err != nil || len(chain) != 2 || !chain[0].Equal(leaf) || !chain[1].Equal(ca) {
		t.Errorf("%d certificates, %v", len(chain), err)
	}
	for _, damaged := range []string{"", text[:len(text)-10]} {
		var refused *identity.CertificateError
		if _, err := ParseChain(&v1alpha1.IssuedCertificate{Chain: damaged}); !errors.As(err, &refused) {
			t.Errorf("%d bytes: %v, want a CertificateError", len(damaged), err)
		}
	}
}
