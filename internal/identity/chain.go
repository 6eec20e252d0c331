package identity

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

const (
	// NotBeforeLeeway is how far ahead of our clock a certificate may begin: cert-manager does not
	// backdate certificates, and the clocks of machines are inaccurate.
	NotBeforeLeeway = 10 * time.Minute

	// maxChainLength and maxCertificateBytes bound the chain that a peer may present.
	maxChainLength      = 8
	maxCertificateBytes = 16 << 10
)

// ParseChain reads a chain of one to eight certificates in DER, leaf first, as sent on the wire.
// Its error is a *CertificateError.
func ParseChain(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 {
		return nil, certificateErrorf(ReasonNoCertificate, "the chain is empty")
	}
	if len(ders) > maxChainLength {
		return nil, certificateErrorf(ReasonMalformedChain, "%d certificates, at most %d are read", len(ders), maxChainLength)
	}
	chain := make([]*x509.Certificate, 0, len(ders))
	for i, der := range ders {
		if len(der) > maxCertificateBytes {
			return nil, certificateErrorf(ReasonMalformedChain, "certificate %d is longer than %d bytes", i, maxCertificateBytes)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, &CertificateError{Reason: ReasonMalformedChain, Detail: "a certificate cannot be parsed", Cause: err}
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// MarshalChain returns the certificates in DER, for [ParseChain].
func MarshalChain(chain []*x509.Certificate) [][]byte {
	ders := make([][]byte, len(chain))
	for i, certificate := range chain {
		ders[i] = certificate.Raw
	}
	return ders
}

// verifyChain checks dates, usage and signatures of the leaf in chain[0] and returns the verified
// chains. The leaf must have usage as its only extended key usage, because x509 accepts a leaf
// without any for every purpose.
func verifyChain(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time, leeway time.Duration) ([][]*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, certificateErrorf(ReasonNoCertificate, "none was presented")
	}
	if len(chain) > maxChainLength {
		return nil, certificateErrorf(ReasonMalformedChain, "%d certificates, at most %d are read", len(chain), maxChainLength)
	}
	if roots == nil {
		// A nil pool would select the roots of the operating system.
		return nil, certificateErrorf(ReasonUntrusted, "there is no trust bundle to check it by")
	}
	leaf := chain[0]
	if err := checkUsage(leaf, usage); err != nil {
		return nil, err
	}
	if now.After(leaf.NotAfter) {
		return nil, certificateErrorf(ReasonExpired, "it expired at %s, now is %s", formatTime(leaf.NotAfter), formatTime(now))
	}
	if now.Add(leeway).Before(leaf.NotBefore) {
		return nil, certificateErrorf(ReasonNotYetValid, "it begins at %s, %s ahead of the clock here, which shows %s: is a clock wrong?",
			formatTime(leaf.NotBefore), formatDuration(leaf.NotBefore.Sub(now)), formatTime(now))
	}
	// Within the leeway the chain is verified at the NotBefore of the leaf. Its CA is older and
	// thus valid then too.
	if now.Before(leaf.NotBefore) {
		now = leaf.NotBefore
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	verified, err := leaf.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return nil, &CertificateError{Reason: ReasonUntrusted, Detail: err.Error(), Cause: err}
	}
	return verified, nil
}

// checkUsage requires exactly one extended key usage and no right to sign certificates.
func checkUsage(leaf *x509.Certificate, usage x509.ExtKeyUsage) error {
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return certificateErrorf(ReasonWrongUsage, "it may sign certificates")
	}
	if !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{usage}) || len(leaf.UnknownExtKeyUsage) > 0 {
		return certificateErrorf(ReasonWrongUsage, "its extended key usage is not exactly %s", usageName(usage))
	}
	return nil
}

func usageName(usage x509.ExtKeyUsage) string {
	if usage == x509.ExtKeyUsageServerAuth {
		return "serverAuth"
	}
	return "clientAuth"
}

// formatDuration formats a duration for people.
func formatDuration(d time.Duration) string {
	if days := d / (24 * time.Hour); days >= 2 {
		return fmt.Sprintf("%d days", days)
	}
	return d.Round(time.Minute).String()
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
