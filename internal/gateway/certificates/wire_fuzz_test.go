package certificates

import (
	"crypto/rand"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// FuzzRotateRequest sends arbitrary rotation requests of a machine. Only a request for its own id
// passes, with its own key or a key that its own key has signed for.
func FuzzRotateRequest(f *testing.F) {
	id := identity.ID{TrustDomain: "mooring.test", Namespace: "fleet", Node: "box"}
	key, next := identitytest.NewKey(f), identitytest.NewKey(f)
	leaf := identitytest.NewAuthority(f, "device-ca").IssueDevice(f, id, &key.PublicKey)
	caller := peer.Identity{
		ID: id, PublicKeySHA256: identity.FingerprintSPKIDER(leaf.RawSubjectPublicKeyInfo),
		CertificateSHA256: identity.FingerprintCertificate(leaf), Certificate: leaf, Exporter: make([]byte, 32),
	}
	node := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: caller.PublicKeySHA256}}
	own, err := identity.NewCSR(key, id)
	if err != nil {
		f.Fatal(err)
	}
	other, err := identity.NewCSR(next, id)
	if err != nil {
		f.Fatal(err)
	}
	proof, err := identity.SignProof(key, rand.Reader, identity.Proof{Method: identity.ProofRotate, Exporter: caller.Exporter, CSR: other})
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []*gatewayv1.RotateDeviceCertificateRequest{{Csr: own}, {Csr: other, Proof: proof}, {Csr: other}, {Csr: own, Proof: proof}, {Csr: []byte{0x30}, Proof: []byte{0x30}}, {}} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	r := &Requester{}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m gatewayv1.RotateDeviceCertificateRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		certificateRequest, err := r.newRequest(caller, node, &m)
		switch {
		case err == nil && certificateRequest.Purpose == v1alpha1.CertificateRenewal:
			err = identity.ValidateCSR(m.GetCsr(), id, caller.PublicKeySHA256)
		case err == nil:
			err = identity.VerifyProof(&key.PublicKey, identity.Proof{Method: identity.ProofRotate, Exporter: caller.Exporter, CSR: m.GetCsr()}, m.GetProof())
		case status.Code(err) == codes.InvalidArgument, status.Code(err) == codes.Unauthenticated:
			return
		default:
			err = errors.Join(errors.New("unexpected status code"), err)
		}
		if err != nil {
			t.Errorf("%x: %v", b, err)
		}
	})
}
