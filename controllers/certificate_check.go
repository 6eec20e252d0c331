package controllers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

// requestSHA256 names a certificate request, by its DER.
func requestSHA256(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// unanswered is the request of a machine that has no answer yet, or nil.
func unanswered(node *v1alpha1.Node) *v1alpha1.NodeCertificateRequest {
	wish := node.Status.CertificateRequest
	if wish == nil || node.Status.Issued != nil && node.Status.Issued.RequestSHA256 == requestSHA256(wish.Request) {
		return nil
	}
	return wish
}

// checkWish decides, without believing the gateway, whether a Node may have the certificate
// that is asked for in its name, and returns the fingerprint of the key it is for. Its errors
// are final for this request; their text goes to the owner of the machine.
func checkWish(node *v1alpha1.Node, id identity.ID, now time.Time) (key string, err error) {
	wish := node.Status.CertificateRequest
	if node.Spec.DesiredState == v1alpha1.NodeRevoked {
		return "", errors.New("the Node is revoked: it gets no certificate any more")
	}
	request, err := x509.ParseCertificateRequest(wish.Request)
	if err != nil {
		return "", fmt.Errorf("the certificate request cannot be read: %w", err)
	}
	key = identity.FingerprintSPKIDER(request.RawSubjectPublicKeyInfo)
	if err := admitKey(node, key); err != nil {
		return "", err
	}
	if err := identity.CheckRequest(wish.Request, id, key); err != nil {
		return "", err
	}
	if wish.Purpose == v1alpha1.CertificateRecovery {
		return key, checkRecovery(node, request.PublicKey, key, now)
	}
	return key, nil
}

// admitKey says whether the key may have a certificate: the pin may, for any purpose; the next
// key once it is admitted (the pinned one signed for it then); a new key if the pinned one signs
// for it now.
func admitKey(node *v1alpha1.Node, key string) error {
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

// checkRotation verifies that the pinned key signed for the new one. The pinned key itself is
// in the chain that was published last, which gateways cannot change.
func checkRotation(node *v1alpha1.Node) error {
	wish := node.Status.CertificateRequest
	pinned, err := publishedKey(node)
	if err != nil {
		return err
	}
	if wish.Proof == nil {
		return errors.New("a new key must be signed for by the pinned one: the proof is missing")
	}
	proof := identity.Proof{Method: identity.ProofRotate, Exporter: wish.Proof.Exporter, CSR: wish.Request}
	if err := identity.VerifyProof(pinned, proof, wish.Proof.Signature); err != nil {
		return fmt.Errorf("a new key must be signed for by the pinned one: %w", err)
	}
	return nil
}

// publishedKey is the pinned key, from the certificate that was published last.
func publishedKey(node *v1alpha1.Node) (*ecdsa.PublicKey, error) {
	missing := errors.New("the pinned key is not known: renew the certificate with it first, then rotate")
	if node.Status.Issued == nil || node.Status.Issued.Chain == "" {
		return nil, missing
	}
	chain, err := parseChain([]byte(node.Status.Issued.Chain))
	if err != nil {
		return nil, err
	}
	key, ok := chain[0].PublicKey.(*ecdsa.PublicKey)
	if !ok || identity.FingerprintSPKIDER(chain[0].RawSubjectPublicKeyInfo) != node.Spec.PublicKeySHA256 {
		return nil, missing
	}
	return key, nil
}

// checkRecovery verifies what lets a lapsed machine back in: the signature of its key, which
// is admitted, over a certificate that was issued to this Node for that key and ended not too
// long ago.
func checkRecovery(node *v1alpha1.Node, public crypto.PublicKey, key string, now time.Time) error {
	wish := node.Status.CertificateRequest
	if wish.Proof == nil {
		return errors.New("recovery needs the signature of the machine's key: the proof is missing")
	}
	fingerprint := wish.Proof.CertificateFingerprintSHA256
	proof := identity.Proof{Method: identity.ProofRecover, Exporter: wish.Proof.Exporter, CertificateSHA256: fingerprint, CSR: wish.Request}
	if err := identity.VerifyProof(public, proof, wish.Proof.Signature); err != nil {
		return fmt.Errorf("recovery needs the signature of the machine's key: %w", err)
	}
	for _, was := range node.Status.CertificateHistory {
		if was.FingerprintSHA256 != fingerprint || was.PublicKeySHA256 != key || was.NotAfter == nil {
			continue
		}
		if now.After(was.NotAfter.Add(identity.RecoveryGrace)) {
			return fmt.Errorf("the certificate ended more than %d days ago: pair the machine again", int(identity.RecoveryGrace.Hours()/24))
		}
		return nil
	}
	return errors.New("the certificate shown is none of the last ones of this Node: pair the machine again")
}

// parseChain reads a chain in PEM, leaf first.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var ders [][]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		ders = append(ders, block.Bytes)
	}
	return identity.ParseChain(ders)
}
