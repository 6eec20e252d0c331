package certificate

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509/pkix"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/pki"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// certifiedNode is a Node with a certificate, and the keys of a test.
type certifiedNode struct {
	*testing.T
	id           identity.ID
	pinned, next *ecdsa.PrivateKey
	foreign      *ecdsa.PrivateKey
	certificate  string // fingerprint of the last certificate of the pinned key
	node         *v1alpha1.Node
}

func newCertifiedNode(t *testing.T) *certifiedNode {
	t.Helper()
	c := &certifiedNode{T: t, id: identity.ID{TrustDomain: "mooring.test", Namespace: "fleet", Node: "box"}}
	var pin, next string
	c.pinned, pin = pki.DeviceKey(t)
	c.next, next = pki.DeviceKey(t)
	c.foreign, _ = pki.DeviceKey(t)
	ca := pki.NewCA(t, "device-ca", start)
	leaf := ca.Sign(t, pkix.Name{}, &c.pinned.PublicKey)
	c.certificate = identity.FingerprintCertificate(leaf)
	ended := metav1.NewTime(start)
	c.node = &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: "fleet", Name: "box"},
		Spec:       v1alpha1.NodeSpec{PublicKeySHA256: pin, NextPublicKeySHA256: next},
		Status: v1alpha1.NodeStatus{
			Issued:             &v1alpha1.IssuedCertificate{Chain: string(identity.MarshalCertificatesPEM(leaf))},
			CertificateHistory: []v1alpha1.CertificateInfo{{FingerprintSHA256: c.certificate, PublicKeySHA256: pin, NotAfter: &ended}},
		},
	}
	return c
}

// request returns a certificate request of a key. If signer is set, its proof is signed by it.
func (c *certifiedNode) request(purpose v1alpha1.CertificatePurpose, key, signer *ecdsa.PrivateKey, certificate string) *v1alpha1.NodeCertificateRequest {
	c.Helper()
	csr, err := identity.NewCSR(key, c.id)
	if err != nil {
		c.Fatal(err)
	}
	request := &v1alpha1.NodeCertificateRequest{Request: csr, Purpose: purpose}
	if signer == nil {
		return request
	}
	proof := identity.Proof{Method: identity.ProofRotate, Exporter: make([]byte, 32), CSR: csr}
	if purpose == v1alpha1.CertificateRecovery {
		proof.Method, proof.CertificateSHA256 = identity.ProofRecover, certificate
	}
	signature, err := identity.SignProof(signer, rand.Reader, proof)
	if err != nil {
		c.Fatal(err)
	}
	request.Proof = &v1alpha1.CertificateProof{Exporter: proof.Exporter, CertificateFingerprintSHA256: proof.CertificateSHA256, Signature: signature}
	return request
}

func TestACertificateIsForAKeyThatTheNodeAdmits(t *testing.T) {
	const initial, renewal, rotation, recovery = v1alpha1.CertificateInitial, v1alpha1.CertificateRenewal, v1alpha1.CertificateRotation, v1alpha1.CertificateRecovery
	none := (*ecdsa.PrivateKey)(nil)
	c := newCertifiedNode(t)
	for name, test := range map[string]struct {
		request *v1alpha1.NodeCertificateRequest
		state   v1alpha1.NodeDesiredState
		at      time.Time
		ok      bool
	}{
		"the first one of the pin":                {c.request(initial, c.pinned, none, ""), "", start, true},
		"a renewal":                               {c.request(renewal, c.pinned, none, ""), "", start, true},
		"a renewal with the next key":             {c.request(renewal, c.next, none, ""), "", start, true},
		"the first one of the next key":           {c.request(initial, c.next, none, ""), "", start, false},
		"the first one of a foreign key":          {c.request(initial, c.foreign, none, ""), "", start, false},
		"a renewal of a foreign key":              {c.request(renewal, c.foreign, none, ""), "", start, false},
		"a foreign key that the pin signed for":   {c.request(rotation, c.foreign, c.pinned, ""), "", start, true},
		"a foreign key that signed for itself":    {c.request(rotation, c.foreign, c.foreign, ""), "", start, false},
		"a rotation without a proof":              {c.request(rotation, c.foreign, none, ""), "", start, false},
		"a renewal of a revoked Node":             {c.request(renewal, c.pinned, none, ""), v1alpha1.NodeRevoked, start, false},
		"a recovery":                              {c.request(recovery, c.pinned, c.pinned, c.certificate), "", start, true},
		"a recovery in the last moment":           {c.request(recovery, c.pinned, c.pinned, c.certificate), "", start.Add(identity.RecoveryGrace), true},
		"a recovery too late":                     {c.request(recovery, c.pinned, c.pinned, c.certificate), "", start.Add(identity.RecoveryGrace + time.Second), false},
		"a recovery of a revoked Node":            {c.request(recovery, c.pinned, c.pinned, c.certificate), v1alpha1.NodeRevoked, start, false},
		"a recovery with an unknown certificate":  {c.request(recovery, c.pinned, c.pinned, "00"), "", start, false},
		"a recovery with that of another key":     {c.request(recovery, c.next, c.next, c.certificate), "", start, false},
		"a recovery that a foreign key signed":    {c.request(recovery, c.pinned, c.foreign, c.certificate), "", start, false},
		"a recovery without a proof":              {c.request(recovery, c.pinned, none, c.certificate), "", start, false},
		"a recovery of a foreign key":             {c.request(recovery, c.foreign, c.foreign, c.certificate), "", start, false},
		"a recovery that the pin signs for a key": {c.request(recovery, c.foreign, c.pinned, c.certificate), "", start, false},
	} {
		node := c.node.DeepCopy()
		node.Spec.DesiredState, node.Status.CertificateRequest = test.state, test.request
		if _, err := validateCSR(node, c.id, test.at); test.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
