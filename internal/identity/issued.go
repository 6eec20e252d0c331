package identity

import (
	"crypto/x509"
	"time"
)

// MaxLeafLifetime is the longest lifetime of a device certificate: the 24 h that are requested,
// plus tolerance for the issuer's rounding.
const MaxLeafLifetime = 25 * time.Hour

// ValidateIssued decides whether a certificate from the issuer may be given to its machine. chain is
// leaf first. The certificate must have exactly the identity want and no other name, an empty
// subject and the key with fingerprint pin. It must have clientAuth as its only usage and must not
// be a CA. It must be signed under roots (the device-CA bundle; nil is refused) and valid at now.
// Its lifetime must not exceed MaxLeafLifetime or the end of any CA above it. The error is a
// *CertificateError.
func ValidateIssued(chain []*x509.Certificate, want ID, pin string, roots *x509.CertPool, now time.Time) error {
	peer, err := VerifyPeer(chain, roots, want.TrustDomain, now)
	if err != nil {
		return err
	}
	leaf := peer.Certificate
	if peer.ID != want {
		return certificateErrorf(ReasonWrongIdentity, "issued for %s, wanted %s", peer.ID, want)
	}
	if peer.PublicKeySHA256 != pin {
		return certificateErrorf(ReasonKeyMismatch, "issued for key %s, pinned is %s", peer.PublicKeySHA256, truncate(pin))
	}
	if len(leaf.Subject.Names) > 0 {
		return certificateErrorf(ReasonSubjectNotEmpty, "issued with subject %q", truncate(leaf.Subject.String()))
	}
	if lifetime := leaf.NotAfter.Sub(leaf.NotBefore); lifetime > MaxLeafLifetime {
		return certificateErrorf(ReasonLifetimeTooLong, "lives %s, at most %s is allowed", lifetime, MaxLeafLifetime)
	}
	return checkWithinCALifetime(leaf, chain, roots, now)
}

// checkWithinCALifetime requires a verified chain in which no CA ends before the leaf. cert-manager
// does not limit a leaf to the lifetime of its CA. The certificate of a machine would then be
// refused before its renewal is due.
func checkWithinCALifetime(leaf *x509.Certificate, chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	verified, err := verifyChain(chain, roots, x509.ExtKeyUsageClientAuth, now, NotBeforeLeeway)
	if err != nil {
		return err
	}
	for _, path := range verified {
		within := true
		for _, ca := range path[1:] {
			within = within && !leaf.NotAfter.After(ca.NotAfter)
		}
		if within {
			return nil
		}
	}
	return certificateErrorf(ReasonLifetimeTooLong, "it ends at %s, after its CA", formatTime(leaf.NotAfter))
}
