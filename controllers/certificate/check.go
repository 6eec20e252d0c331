package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/certstatus"
	"github.com/mooring-dev/mooring/internal/identity"
)

// pendingCSR returns the certificate request of a Node that has no answer yet, or nil.
func pendingCSR(node *v1alpha1.Node) *v1alpha1.NodeCertificateRequest {
	request := node.Status.CertificateRequest
	if request == nil || certstatus.Answers(node.Status.Issued, request.Request) {
		return nil
	}
	return request
}

// validateCSR decides whether a Node may have the certificate that its status requests, and returns
// the fingerprint of the key. It trusts nothing that the gateway checked. Its errors are final for
// this request; their text goes to the owner of the machine.
func validateCSR(node *v1alpha1.Node, id identity.ID, now time.Time) (key string, err error) {
	request := node.Status.CertificateRequest
	if node.Spec.DesiredState == v1alpha1.NodeRevoked {
		return "", errors.New("the Node is revoked: it gets no certificate any more")
	}
	csr, err := x509.ParseCertificateRequest(request.Request)
	if err != nil {
		return "", fmt.Errorf("the certificate request cannot be read: %w", err)
	}
	key = identity.FingerprintSPKIDER(csr.RawSubjectPublicKeyInfo)
	if err := validateCSRKey(node, key); err != nil {
		return "", err
	}
	if err := identity.ValidateCSR(request.Request, id, key); err != nil {
		return "", err
	}
	if request.Purpose == v1alpha1.CertificateRecovery {
		return key, checkRecovery(node, csr.PublicKey, key, now)
	}
	return key, nil
}

// validateCSRKey checks whether a key may have a certificate. The pinned key may, for any purpose.
// So may the next key, for any purpose but an initial certificate: the pinned key signed for it
// when it was admitted. A new key may if the pinned key signs for it now.
func validateCSRKey(node *v1alpha1.Node, key string) error {
	purpose := node.Status.CertificateRequest.Purpose
	switch {
	case key == node.Spec.PublicKeySHA256:
		return nil
	case purpose != v1alpha1.CertificateInitial && key == node.Spec.NextPublicKeySHA256:
		return nil
	case purpose == v1alpha1.CertificateRotation:
		return checkRotation(node)
	default:
		return fmt.Errorf("the certificate request is made with key %s, which is not the key of this Node", key)
	}
}

// checkRotation verifies that the pinned key signed for the new key. The pinned key comes from the
// chain that was published last, which gateways cannot change.
func checkRotation(node *v1alpha1.Node) error {
	request := node.Status.CertificateRequest
	pinned, err := publishedKey(node)
	if err != nil {
		return err
	}
	if request.Proof == nil {
		return errors.New("a new key must be signed for by the pinned one: the proof is missing")
	}
	proof := identity.Proof{Method: identity.ProofRotate, Exporter: request.Proof.Exporter, CSR: request.Request}
	if err := identity.VerifyProof(pinned, proof, request.Proof.Signature); err != nil {
		return fmt.Errorf("a new key must be signed for by the pinned one: %w", err)
	}
	return nil
}

// publishedKey returns the pinned key from the certificate that was published last.
func publishedKey(node *v1alpha1.Node) (*ecdsa.PublicKey, error) {
	missing := errors.New("the pinned key is not known: renew the certificate with it first, then rotate")
	if node.Status.Issued == nil || node.Status.Issued.Chain == "" {
		return nil, missing
	}
	chain, err := certstatus.ParseChain(node.Status.Issued)
	if err != nil {
		return nil, err
	}
	key, ok := chain[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || identity.FingerprintSPKIDER(chain[0].RawSubjectPublicKeyInfo) != node.Spec.PublicKeySHA256 {
		return nil, missing
	}
	return key, nil
}

// checkRecovery verifies that a machine with an expired certificate may have a new one. Its key,
// which is admitted, must sign for a certificate of this Node and that key. The certificate must
// have expired at most RecoveryGrace ago.
func checkRecovery(node *v1alpha1.Node, public crypto.PublicKey, key string, now time.Time) error {
	request := node.Status.CertificateRequest
	if request.Proof == nil {
		return errors.New("recovery needs the signature of the machine's key: the proof is missing")
	}
	fingerprint := request.Proof.CertificateFingerprintSHA256
	proof := identity.Proof{Method: identity.ProofRecover, Exporter: request.Proof.Exporter, CertificateSHA256: fingerprint, CSR: request.Request}
	if err := identity.VerifyProof(public, proof, request.Proof.Signature); err != nil {
		return fmt.Errorf("recovery needs the signature of the machine's key: %w", err)
	}
	for _, previous := range node.Status.CertificateHistory {
		if previous.FingerprintSHA256 != fingerprint || previous.PublicKeySHA256 != key || previous.NotAfter == nil {
			continue
		}
		if now.After(previous.NotAfter.Add(identity.RecoveryGrace)) {
			return fmt.Errorf("the certificate ended more than %d days ago: pair the machine again", int(identity.RecoveryGrace.Hours()/24))
		}
		return nil
	}
	return errors.New("the certificate is not in the history of this Node: pair the machine again")
}
