package identity

import (
	"crypto/x509"
	"slices"
	"time"
)

// ServerName is the DNS name in every gateway's certificate, whatever address the gateway has. A
// certificate of the server CA makes a server a gateway.
const ServerName = "gateway.mooring"

// serverNameHashLength is the number of hex digits of a CA's fingerprint that select its chain.
const serverNameHashLength = 8

// ServerNameForCA returns the SNI by which a machine requests a chain under the CA whose key has
// the fingerprint (FingerprintSPKI): <first 8 digits>.gateway.mooring. A gateway may have two
// chains while its CA is replaced. The SNI only selects the chain; the verified name is ServerName.
func ServerNameForCA(ca string) string {
	if len(ca) < serverNameHashLength {
		return ServerName
	}
	return ca[:serverNameHashLength] + "." + ServerName
}

// VerifyServer verifies a gateway's certificate for an agent. chain is the server's chain, leaf
// first. It requires a chain to roots (the confirmed bundle; nil is refused), and validity at now
// with leeway before NotBefore (NotBeforeLeeway). The only usage must be serverAuth, and the DNS
// names must include ServerName. The error is a [CertificateError].
func VerifyServer(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, leeway time.Duration) error {
	if _, err := verifyChain(chain, roots, x509.ExtKeyUsageServerAuth, now, leeway); err != nil {
		return err
	}
	// The names are compared for equality, so that a wildcard does not match.
	if !slices.Contains(chain[0].DNSNames, ServerName) {
		return certificateErrorf(ReasonWrongServerName, "it is not for %s", ServerName)
	}
	return nil
}

// VerifyPinnedServer verifies a gateway like [VerifyServer], with only one root: the CA that a QR
// code pins (Invitation.CASHA256: FingerprintSPKI of its key). The gateway sends the certificate of
// that CA in its chain.
func VerifyPinnedServer(chain []*x509.Certificate, caPin string, now time.Time, leeway time.Duration) error {
	if len(chain) == 0 {
		return certificateErrorf(ReasonNoCertificate, "none was presented")
	}
	if len(chain) > maxChainLength {
		return certificateErrorf(ReasonMalformedChain, "%d certificates, at most %d are read", len(chain), maxChainLength)
	}
	roots := x509.NewCertPool()
	found := false
	for _, cert := range chain[1:] {
		if cert.IsCA && cert.BasicConstraintsValid && FingerprintSPKIDER(cert.RawSubjectPublicKeyInfo) == caPin {
			roots.AddCert(cert)
			found = true
		}
	}
	if !found {
		return certificateErrorf(ReasonPinnedCANotPresent, "the server did not present the CA that the code pins: wrong address, or an intercepted connection")
	}
	return VerifyServer(chain, roots, now, leeway)
}
