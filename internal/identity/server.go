package identity

import (
	"crypto/x509"
	"slices"
	"time"
)

// ServerName is the DNS name in every gateway's certificate, whatever address
// the gateway has: what makes a server a gateway is the server CA.
const ServerName = "gateway.mooring"

// serverNameHash is how many hex digits of a CA's fingerprint select its chain.
const serverNameHash = 8

// ServerNameUnder is the SNI by which a machine asks for a chain under the one CA whose
// key has the fingerprint (FingerprintSPKI): <first 8 digits>.gateway.mooring. A gateway
// may have two while its CA is replaced. It selects only; ServerName is what is verified.
func ServerNameUnder(ca string) string {
	if len(ca) < serverNameHash {
		return ServerName
	}
	return ca[:serverNameHash] + "." + ServerName
}

// VerifyServer is the agent's check of a gateway: chain to roots (the confirmed
// bundle; nil refuses), valid at now with leeway before NotBefore (NotBeforeLeeway),
// serverAuth alone, and ServerName among its DNS names. chain is what the server
// sent, leaf first. It errs with *CertificateError.
func VerifyServer(chain []*x509.Certificate, roots *x509.CertPool, now time.Time, leeway time.Duration) error {
	if _, err := verifyChain(chain, roots, x509.ExtKeyUsageServerAuth, now, leeway); err != nil {
		return err
	}
	// By equality, so that a wildcard is not enough.
	if !slices.Contains(chain[0].DNSNames, ServerName) {
		return refuse(ReasonWrongServerName, "it is not for %s", ServerName)
	}
	return nil
}

// VerifyPinnedServer is VerifyServer with the certificate of the CA that a QR code
// pins (Invitation.CASHA256: FingerprintSPKI of its key) as the only root. The
// gateway sends that certificate in its chain.
func VerifyPinnedServer(chain []*x509.Certificate, caPin string, now time.Time, leeway time.Duration) error {
	if len(chain) == 0 {
		return refuse(ReasonNoCertificate, "none was presented")
	}
	if len(chain) > maxChainLength {
		return refuse(ReasonMalformedChain, "%d certificates, at most %d are read", len(chain), maxChainLength)
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
		return refuse(ReasonPinnedCANotPresent, "the server did not present the CA that the code pins: wrong address, or somebody in between")
	}
	return VerifyServer(chain, roots, now, leeway)
}
