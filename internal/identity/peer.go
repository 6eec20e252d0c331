package identity

import (
	"crypto/x509"
	"time"
)

// RecoveryGrace is the time after its end for which a certificate still proves the right to request
// the next one.
const RecoveryGrace = 30 * 24 * time.Hour

// Peer is the machine that a certificate identifies. It has no rights yet: the caller must compare
// PublicKeySHA256 with the pin of a live Node.
type Peer struct {
	ID ID
	// PublicKeySHA256 is the FingerprintSPKI of its key, for the comparison with the pin.
	PublicKeySHA256 string
	// Certificate is the presented leaf.
	Certificate *x509.Certificate
}

// VerifyPeer verifies a machine's certificate for a gateway. It is meant for
// tls.Config.VerifyConnection, which also runs on resumption. chain is the peer's chain, leaf
// first.
//
// It requires a chain to roots (the device-CA bundle; nil is refused), validity at now with
// NotBeforeLeeway, clientAuth as the only usage, and an ECDSA P-256 key. The only SAN must be one
// URI of trustDomain. The error is a *CertificateError.
func VerifyPeer(chain []*x509.Certificate, roots *x509.CertPool, trustDomain string, now time.Time) (Peer, error) {
	if _, err := verifyChain(chain, roots, x509.ExtKeyUsageClientAuth, now, NotBeforeLeeway); err != nil {
		return Peer{}, err
	}
	leaf := chain[0]
	id, err := parseCertificateID(leaf)
	if err != nil {
		return Peer{}, err
	}
	if id.TrustDomain != trustDomain {
		return Peer{}, certificateErrorf(ReasonForeignTrustDomain, "%s is not of trust domain %q", id, trustDomain)
	}
	if _, err := asP256Key(leaf.PublicKey); err != nil {
		return Peer{}, certificateErrorf(ReasonUnsupportedKey, "%v", err)
	}
	return Peer{ID: id, PublicKeySHA256: FingerprintSPKIDER(leaf.RawSubjectPublicKeyInfo), Certificate: leaf}, nil
}

// VerifyExpiredPeer verifies a certificate like [VerifyPeer], for recovery. A certificate that
// expired no more than RecoveryGrace before now is verified at its last valid moment. It proves the
// caller's identity only together with a fresh Proof of the same key.
func VerifyExpiredPeer(chain []*x509.Certificate, roots *x509.CertPool, trustDomain string, now time.Time) (Peer, error) {
	if len(chain) == 0 {
		return Peer{}, certificateErrorf(ReasonNoCertificate, "none was presented")
	}
	end := chain[0].NotAfter
	if now.After(end.Add(RecoveryGrace)) {
		return Peer{}, certificateErrorf(ReasonRecoveryTooLate, "it expired at %s, over %d days ago: pair the machine again",
			formatTime(end), int(RecoveryGrace/(24*time.Hour)))
	}
	if now.After(end) {
		now = end
	}
	return VerifyPeer(chain, roots, trustDomain, now)
}
