package node

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/test/pki"
)

func TestOnlyTheKeysOfANodeGiveItUp(t *testing.T) {
	id := identity.ID{TrustDomain: "mooring.test", Namespace: "fleet", Node: "box"}
	pinned, pin := pki.DeviceKey(t)
	nextKey, next := pki.DeviceKey(t)
	foreign, _ := pki.DeviceKey(t)
	own := identity.Proof{Method: identity.ProofRevoke, Exporter: make([]byte, 32), Request: id.URI()}
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
		"the pinned key":                          {request(pinned, pinned, own), true},
		"the next key":                            {request(nextKey, nextKey, own), true},
		"a foreign key":                           {request(foreign, foreign, own), false},
		"a signature of a foreign key":            {request(pinned, foreign, own), false},
		"a signature for another Node":            {request(pinned, pinned, elsewhere), false},
		"a signature of another exporter":         {request(pinned, pinned, otherExporter), false},
		"a signature of the pin for the next one": {request(nextKey, pinned, own), false},
	} {
		node := &v1alpha1.Node{
			ObjectMeta: metav1.ObjectMeta{Namespace: id.Namespace, Name: id.Node},
			Spec:       v1alpha1.NodeSpec{PublicKeySHA256: pin, NextPublicKeySHA256: next},
			Status:     v1alpha1.NodeStatus{RevocationRequest: test.request},
		}
		if err := validateRevocationRequest(node, id.TrustDomain); test.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
