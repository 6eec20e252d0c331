package controllers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

func TestOnlyTheKeysOfANodeGiveItUp(t *testing.T) {
	c := newCertifiedNode(t)
	own := identity.Proof{Method: identity.ProofRevoke, Exporter: make([]byte, 32), Request: c.id.URI()}
	elsewhere := own
	elsewhere.Request += "-2"
	request := func(shown, signer *ecdsa.PrivateKey, proof identity.Proof) *v1alpha1.NodeRevocationRequest {
		der, err := x509.MarshalPKIXPublicKey(&shown.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := identity.SignProof(signer, rand.Reader, proof)
		if err != nil {
			t.Fatal(err)
		}
		return &v1alpha1.NodeRevocationRequest{PublicKey: der, Exporter: own.Exporter, Signature: signature}
	}
	otherExporter := own
	otherExporter.Exporter = bytes.Repeat([]byte{1}, 32)
	for name, test := range map[string]struct {
		request *v1alpha1.NodeRevocationRequest
		ok      bool
	}{
		"the pinned key":                          {request(c.pinned, c.pinned, own), true},
		"the next key":                            {request(c.next, c.next, own), true},
		"a foreign key":                           {request(c.foreign, c.foreign, own), false},
		"a signature of a foreign key":            {request(c.pinned, c.foreign, own), false},
		"a signature for another Node":            {request(c.pinned, c.pinned, elsewhere), false},
		"a signature of another exporter":         {request(c.pinned, c.pinned, otherExporter), false},
		"a signature of the pin for the next one": {request(c.next, c.pinned, own), false},
	} {
		c.node.Status.RevocationRequest = test.request
		if err := validateRevocationRequest(c.node, c.id.TrustDomain); test.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
