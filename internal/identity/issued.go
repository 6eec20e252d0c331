package identity

import (
	"crypto/x509"
	"time"
)

// MaxLeafLifetime is the longest a device certificate may live: the 24 h that
// are asked for, and room for the issuer's rounding.
const MaxLeafLifetime = 25 * time.Hour

// CheckIssued decides whether a certificate that came from the issuer may be
// handed to its machine: exactly the identity want and no other name, an empty
// subject, the key with fingerprint pin, clientAuth alone, no CA, signed under
// roots (the device-CA bundle; nil refuses) and valid at now, for at most
// MaxLeafLifetime and not longer than any CA above it. chain is leaf first. It
// errs with *CertificateError.
func CheckIssued(chain []*x509.Certificate, want ID, pin string, roots *x509.CertPool, now time.Time) error {
	peer, err := VerifyPeer(chain, roots, want.TrustDomain, now)
	if err != nil {
		return err
	}
	leaf := peer.Certificate
	if peer.ID != want {
		return refuse(ReasonWrongIdentity, "issued for %s, wanted %s", peer.ID, want)
	}
	if peer.PublicKeySHA256 != pin {
		return refuse(ReasonKeyMismatch, "issued for key %s, pinned is %s", peer.PublicKeySHA256, clip(pin))
	}
	if len(leaf.Subject.Names) > 0 {
		return refuse(ReasonSubjectNotEmpty, "issued with subject %q", clip(leaf.Subject.String()))
	}
	if lifetime := leaf.NotAfter.Sub(leaf.NotBefore); lifetime > MaxLeafLifetime {
		return refuse(ReasonLifetimeTooLong, "lives %s, at most %s is allowed", lifetime, MaxLeafLifetime)
	}
	return checkOutlived(leaf, chain, roots, now)
}

// checkOutlived wants one verified chain in which no CA ends before the leaf.
// cert-manager does not clamp a leaf to its CA, and a machine would find its
// certificate refused before the renewal is due.
func checkOutlived(leaf *x509.Certificate, chain []*x509.Certificate, roots *x509.CertPool, now time.Time) error {
	verified, err := verifyChain(chain, roots, x509.ExtKeyUsageClientAuth, now, NotBeforeLeeway)
	if err != nil {
		return err
	}
	for _, path := range verified {
		outlived := true
		for _, ca := range path[1:] {
			outlived = outlived && !leaf.NotAfter.After(ca.NotAfter)
		}
		if outlived {
			return nil
		}
	}
	return refuse(ReasonLifetimeTooLong, "it ends at %s, after its CA", stamp(leaf.NotAfter))
}
