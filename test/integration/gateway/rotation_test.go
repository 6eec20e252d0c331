package gateway_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
	spake "github.com/mooring-dev/mooring/internal/pairing"
)

// enrolled is a machine with a certificate on the node listener.
type enrolled struct {
	*paired
	node     *v1alpha1.Node
	leaf     *x509.Certificate
	client   gatewayv1.NodeServiceClient
	exporter []byte
}

func enroll(t *testing.T, g *instance, changes ...identitytest.Change) *enrolled {
	t.Helper()
	p := startPairing(t, g)
	e := &enrolled{paired: p, node: p.approve()}
	e.leaf = g.deviceCA.IssueDevice(t, p.id(), &p.key.PublicKey, changes...)
	soon.True(t, "the gateway's cache to hold the Node", func() bool {
		answer, err := p.pollStatus(nil)
		return err == nil && answer.GetApproved() != nil
	})
	return e
}

func (e *enrolled) connectNode(t *testing.T) {
	t.Helper()
	_, address := e.gateway.Addresses()
	roots := x509.NewCertPool()
	roots.AddCert(e.gateway.serverCA.Certificate)
	conn, err := grpc.NewClient("passthrough:///"+address.String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: roots, ServerName: identity.ServerName, MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{e.leaf.Raw}, PrivateKey: e.key}},
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	e.client = gatewayv1.NewNodeServiceClient(conn)
	var p grpcpeer.Peer
	_, _ = e.client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}, grpc.Peer(&p))
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		t.Fatal("no connection to the node listener")
	}
	if e.exporter, err = info.State.ExportKeyingMaterial(spake.ExporterLabel, nil, spake.ExporterLength); err != nil {
		t.Fatal(err)
	}
}

func (e *enrolled) proofBy(t *testing.T, key *ecdsa.PrivateKey, p identity.Proof) []byte {
	t.Helper()
	signature, err := identity.SignProof(key, rand.Reader, p)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestRenewalAndRotationGoThroughTheNodesStatus(t *testing.T) {
	g := newGateway(t)
	e := enroll(t, g)
	e.connectNode(t)
	seen := startSigner(t, g.deviceCA, client.ObjectKeyFromObject(e.node), e.id(), nil)
	next := identitytest.NewKey(t)
	nextCSR := newCSR(t, next, e.id())
	for _, test := range []struct {
		name    string
		request *gatewayv1.RotateDeviceCertificateRequest
		purpose v1alpha1.CertificatePurpose
		key     *ecdsa.PrivateKey
	}{
		{"the same key renews", &gatewayv1.RotateDeviceCertificateRequest{Csr: e.csr()}, v1alpha1.CertificateRenewal, e.key},
		{"a new key with a proof rotates", &gatewayv1.RotateDeviceCertificateRequest{Csr: nextCSR,
			Proof: e.proofBy(t, e.key, identity.Proof{Method: identity.ProofRotate, Exporter: e.exporter, CSR: nextCSR})}, v1alpha1.CertificateRotation, next},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, err := e.client.RotateDeviceCertificate(t.Context(), test.request)
			if err != nil {
				t.Fatal(err)
			}
			chain, err := identity.ParseChain(answer.GetChain())
			if err != nil {
				t.Fatal(err)
			}
			pin, err := identity.FingerprintSPKI(&test.key.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if identity.FingerprintSPKIDER(chain[0].RawSubjectPublicKeyInfo) != pin {
				t.Error("the chain is of another key")
			}
			if certificateRequest := <-seen; certificateRequest.Purpose != test.purpose {
				t.Errorf("purpose %s, want %s", certificateRequest.Purpose, test.purpose)
			}
		})
	}
}

func TestRotationIsRefusedWithoutThePinnedKey(t *testing.T) {
	g := newGateway(t)
	e := enroll(t, g)
	e.connectNode(t)
	next := identitytest.NewKey(t)
	csr := newCSR(t, next, e.id())
	proof := identity.Proof{Method: identity.ProofRotate, Exporter: e.exporter, CSR: csr}
	otherConnection := proof
	otherConnection.Exporter = make([]byte, len(proof.Exporter))
	for _, test := range []struct {
		name  string
		proof []byte
		want  codes.Code
	}{
		{"without a proof", nil, codes.InvalidArgument},
		{"signed by the new key itself", e.proofBy(t, next, proof), codes.Unauthenticated},
		{"signed for another connection", e.proofBy(t, e.key, otherConnection), codes.Unauthenticated},
	} {
		_, err := e.client.RotateDeviceCertificate(t.Context(), &gatewayv1.RotateDeviceCertificateRequest{Csr: csr, Proof: test.proof})
		if status.Code(err) != test.want {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
}

func TestOneMachineCannotFloodTheIssuer(t *testing.T) {
	g := newGateway(t)
	e := enroll(t, g)
	e.connectNode(t)
	startSigner(t, g.deviceCA, client.ObjectKeyFromObject(e.node), e.id(), nil)
	for n := range 20 {
		_, err := e.client.RotateDeviceCertificate(t.Context(), &gatewayv1.RotateDeviceCertificateRequest{Csr: e.csr()})
		if status.Code(err) == codes.ResourceExhausted {
			if n < 3 {
				t.Errorf("refused already at request %d", n+1)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("20 certificates in a row were issued")
}

// recovery returns an honest request to recover the expired certificate.
func (e *enrolled) recovery(t *testing.T) *gatewayv1.RecoverCertificateRequest {
	t.Helper()
	csr := e.csr()
	return &gatewayv1.RecoverCertificateRequest{Chain: [][]byte{e.leaf.Raw}, Csr: csr, Proof: e.proofBy(t, e.key, identity.Proof{
		Method: identity.ProofRecover, Exporter: e.machine.exporter, CertificateSHA256: identity.FingerprintCertificate(e.leaf), CSR: csr,
	})}
}

// expiredSince returns the changes for a certificate that expired that long ago.
func expiredSince(elapsed time.Duration) []identitytest.Change {
	return []identitytest.Change{identitytest.ValidFrom(-elapsed - 24*time.Hour), identitytest.ValidUntil(-elapsed)}
}

func TestAMachineThatSleptRecovers(t *testing.T) {
	const day = 24 * time.Hour
	// The CA has to be older than the expired certificate.
	g := newGateway(t, func(s *settings) {
		s.serverCA, s.deviceCA = identitytest.NewAuthority(t, "server-ca"), identitytest.NewAuthority(t, "device-ca", identitytest.ValidFrom(-100*day))
	})
	e := enroll(t, g, expiredSince(10*day)...)
	seen := startSigner(t, g.deviceCA, client.ObjectKeyFromObject(e.node), e.id(), nil)
	answer, err := e.machine.client.RecoverCertificate(t.Context(), e.recovery(t))
	if err != nil {
		t.Fatal(err)
	}
	if chain, err := identity.ParseChain(answer.GetChain()); err != nil || identity.FingerprintSPKIDER(chain[0].RawSubjectPublicKeyInfo) != e.pin() {
		t.Errorf("the chain is of another key: %v", err)
	}
	certificateRequest := <-seen
	if certificateRequest.Purpose != v1alpha1.CertificateRecovery || certificateRequest.Proof.CertificateFingerprintSHA256 != identity.FingerprintCertificate(e.leaf) {
		t.Errorf("the controller sees purpose %s of certificate %s", certificateRequest.Purpose, certificateRequest.Proof.CertificateFingerprintSHA256)
	}
	stolen := e.recovery(t)
	stolen.Proof = e.proofBy(t, identitytest.NewKey(t), identity.Proof{
		Method: identity.ProofRecover, Exporter: e.machine.exporter, CertificateSHA256: identity.FingerprintCertificate(e.leaf), CSR: stolen.Csr,
	})
	if _, err := e.machine.client.RecoverCertificate(t.Context(), stolen); status.Code(err) != codes.Unauthenticated {
		t.Errorf("without the key: got %v, want Unauthenticated", err)
	}
	late := enroll(t, g, expiredSince(31*day)...)
	if _, err := late.machine.client.RecoverCertificate(t.Context(), late.recovery(t)); status.Code(err) != codes.PermissionDenied {
		t.Errorf("after 31 days: got %v, want PermissionDenied", err)
	}
	e.node.Spec.DesiredState = v1alpha1.NodeRevoked
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"desiredState":"Revoked"}}`))
	if err := shared.Client().Patch(t.Context(), e.node, patch); err != nil {
		t.Fatal(err)
	}
	soon.True(t, "the revocation to be seen", func() bool {
		_, err := e.machine.client.RecoverCertificate(t.Context(), e.recovery(t))
		return status.Code(err) == codes.PermissionDenied
	})
}

// The machine stored its next key and stopped before it used it.
func TestAMachineThatSleptRecoversWithTheKeyItNeverUsed(t *testing.T) {
	const day = 24 * time.Hour
	g := newGateway(t, func(s *settings) {
		s.serverCA, s.deviceCA = identitytest.NewAuthority(t, "server-ca"), identitytest.NewAuthority(t, "device-ca", identitytest.ValidFrom(-100*day))
	})
	e := enroll(t, g, expiredSince(10*day)...)
	startSigner(t, g.deviceCA, client.ObjectKeyFromObject(e.node), e.id(), nil)
	with := func(key *ecdsa.PrivateKey) *enrolled {
		other, another := *e, *e.paired
		another.machine = g.machineWith(t, key)
		another.machine.connect(t.Context())
		other.paired, other.leaf = &another, g.deviceCA.IssueDevice(t, e.id(), &key.PublicKey, expiredSince(10*day)...)
		return &other
	}
	next := with(identitytest.NewKey(t))
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"nextPublicKeySHA256":"`+next.pin()+`"}}`))
	if err := shared.Client().Patch(t.Context(), e.node, patch); err != nil {
		t.Fatal(err)
	}
	for name, recovered := range map[string]*enrolled{"the next key": next, "the pinned key": e} {
		soon.True(t, name+" to recover", func() bool {
			answer, err := recovered.machine.client.RecoverCertificate(t.Context(), recovered.recovery(t))
			if err != nil {
				t.Log(err)
				return false
			}
			chain, err := identity.ParseChain(answer.GetChain())
			return err == nil && identity.FingerprintSPKIDER(chain[0].RawSubjectPublicKeyInfo) == recovered.pin()
		})
	}
	// The device CA has signed a certificate of this key, but it is no key of this Node.
	foreign := with(identitytest.NewKey(t))
	if _, err := foreign.machine.client.RecoverCertificate(t.Context(), foreign.recovery(t)); status.Code(err) != codes.PermissionDenied {
		t.Errorf("another key: got %v, want PermissionDenied", err)
	}
}
