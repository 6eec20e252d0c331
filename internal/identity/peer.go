package identity

import (
	"crypto/x509"
	"time"
)

// RecoveryGrace is how long after its end a certificate still proves who may ask
// for the next one.
const RecoveryGrace = 30 * 24 * time.Hour

// Peer is a machine as its certificate proves it. It is not yet allowed
// anything: the caller compares PublicKeySHA256 with the pin of a live Node.
type Peer struct {
	ID ID
	// PublicKeySHA256 is FingerprintSPKI of its key, to be compared with the pin.
	PublicKeySHA256 string
	// Certificate is the leaf it presented.
	Certificate *x509.Certificate
}

// VerifyPeer is the gateway's check of a machine's certificate, for
// tls.Config.VerifyConnection (so that it also runs on resumption): chain to
// roots (the device-CA bundle; nil refuses), valid at now with NotBeforeLeeway,
// clientAuth alone, an ECDSA P-256 key, exactly one URI SAN of trustDomain and no
// other SAN. chain is what the peer sent, leaf first. It errs with *CertificateError.
func VerifyPeer(chain []*x509.Certificate, roots *x509.CertPool, trustDomain string, now time.Time) (Peer, error) {
	if _, err := verifyChain(chain, roots, x509.ExtKeyUsageClientAuth, now, NotBeforeLeeway); err != nil {
		return Peer{}, err
	}
	leaf := chain[0]
	id, err := certificateID(leaf)
	if err != nil {
		return Peer{}, err
	}
	if id.TrustDomain != trustDomain {
		return Peer{}, refuse(ReasonForeignTrustDomain, "%s is not of trust domain %q", id, trustDomain)
	}
	if _, err := p256(leaf.PublicKey); err != nil {
		return Peer{}, refuse(ReasonUnsupportedKey, "%v", err)
	}
	return Peer{ID: id, PublicKeySHA256: FingerprintSPKIDER(leaf.RawSubjectPublicKeyInfo), Certificate: leaf}, nil
}

// VerifyLapsedPeer is VerifyPeer for recovery: a certificate that expired no more
// than RecoveryGrace before now is judged at its last valid moment. It proves
// who asks only together with a fresh Proof of the same key.
func VerifyLapsedPeer(chain []*x509.Certificate, roots *x509.CertPool, trustDomain string, now time.Time) (Peer, error) {
	if len(chain) == 0 {
		return Peer{}, refuse(ReasonNoCertificate, "none was presented")
	}
	end := chain[0].NotAfter
	if now.After(end.Add(RecoveryGrace)) {
		return Peer{}, refuse(ReasonRecoveryTooLate, "it expired at %s, over %d days ago: pair the machine again",
			stamp(end), int(RecoveryGrace/(24*time.Hour)))
	}
	if now.After(end) {
		now = end
	}
	return VerifyPeer(chain, roots, trustDomain, now)
}
