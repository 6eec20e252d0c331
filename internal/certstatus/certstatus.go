// Package certstatus converts certificates to the fields of Node.status and back. The gateway and
// the controller exchange certificates through these fields, and may not import each other.
package certstatus

import (
	"crypto/x509"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// Describe returns the description of a certificate, and nil for nil.
func Describe(certificate *x509.Certificate) *v1alpha1.CertificateInfo {
	if certificate == nil {
		return nil
	}
	notBefore, notAfter := metav1.NewTime(certificate.NotBefore), metav1.NewTime(certificate.NotAfter)
	return &v1alpha1.CertificateInfo{
		SerialNumber:      certificate.SerialNumber.Text(16),
		FingerprintSHA256: identity.FingerprintCertificate(certificate),
		PublicKeySHA256:   identity.FingerprintSPKIDER(certificate.RawSubjectPublicKeyInfo),
		NotBefore:         &notBefore,
		NotAfter:          &notAfter,
	}
}

// Answers reports whether issued is the answer to the certificate request csr, which is in DER.
// There is no answer yet if issued is nil.
func Answers(issued *v1alpha1.IssuedCertificate, csr []byte) bool {
	return issued != nil && issued.RequestSHA256 == identity.FingerprintCSR(csr)
}

// ParseChain reads the published chain, leaf first.
func ParseChain(issued *v1alpha1.IssuedCertificate) ([]*x509.Certificate, error) {
	chain, err := identity.ParseChainPEM([]byte(issued.Chain))
	if err != nil {
		return nil, fmt.Errorf("read the published chain: %w", err)
	}
	return chain, nil
}
