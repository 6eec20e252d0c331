package threats_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/hack/dev/controlplane"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/nodeagent/identity/store"
)

// trustDomain is the default of --trust-domain.
const trustDomain = "mooring.local"

// certManager returns a client with an administrator's rights that knows cert-manager's kinds.
func certManager(t *testing.T) client.Client {
	t.Helper()
	scheme := controlplane.Scheme()
	if err := cmapi.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(system.Cluster.AdminConfig(), client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signForeignCertificate lets cert-manager sign a device certificate without any part of Mooring.
func (f *fleet) signForeignCertificate(id identity.ID) store.Identity {
	f.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	csr := identity.MarshalCSRPEM(f.csr(key, id))
	request := &cmapi.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, GenerateName: "minted-"},
		Spec: cmapi.CertificateRequestSpec{Request: csr, Duration: &metav1.Duration{Duration: 24 * time.Hour},
			IssuerRef: cmmeta.IssuerReference{Group: "cert-manager.io", Kind: "Issuer", Name: v1alpha1.DeviceIssuer},
			Usages:    []cmapi.KeyUsage{cmapi.UsageDigitalSignature, cmapi.UsageClientAuth}},
	}
	c := certManager(f.T)
	if err := c.Create(f.Context(), request); err != nil {
		f.Fatal(err)
	}
	f.Eventually("cert-manager to sign", func() bool {
		return c.Get(f.Context(), client.ObjectKeyFromObject(request), request) == nil && len(request.Status.Certificate) > 0
	})
	block, _ := pem.Decode(request.Status.Certificate)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		f.Fatal(err)
	}
	minted, err := store.NewIdentity(key, []*x509.Certificate{leaf})
	if err != nil {
		f.Fatal(err)
	}
	return minted
}

// A valid signature is never enough: the identity is the pin of a live Node.
func TestValidlySignedForeignCertificateIsRefused(t *testing.T) {
	f := newFleet(t)
	f.Pair("kiosk")
	before := f.GetNode("kiosk")
	own := identity.ID{TrustDomain: trustDomain, Namespace: f.Namespace, Node: "kiosk"}
	for _, attack := range []struct {
		name      string
		id        identity.ID
		handshake string // the reason of a refusal in the handshake; with TLS 1.3 the first call fails
	}{
		{name: "for a machine that is paired", id: own},
		{name: "for a Node that does not exist", id: identity.ID{TrustDomain: trustDomain, Namespace: f.Namespace, Node: "nobody"}},
		{name: "for a foreign trust domain", id: identity.ID{TrustDomain: "elsewhere.example", Namespace: f.Namespace, Node: "kiosk"}, handshake: identity.ReasonForeignTrustDomain},
	} {
		t.Run(attack.name, func(t *testing.T) {
			g := f.inSubtest(t)
			m := g.connect(g.signForeignCertificate(attack.id))
			if err := m.register(); !g.isRefused(err, attack.handshake) {
				t.Errorf("RegisterNode: %v, want a refusal", err)
			}
			_, err := m.client.RotateDeviceCertificate(m.BoundedContext(), &gatewayv1.RotateDeviceCertificateRequest{Csr: g.csr(m.Key, attack.id)})
			if !g.isRefused(err, attack.handshake) {
				t.Errorf("RotateDeviceCertificate: %v, want a refusal", err)
			}
			if code := m.recoverCertificate(attack.id); code != codes.PermissionDenied && code != codes.Unauthenticated {
				t.Errorf("RecoverCertificate: %v, want a refusal", code)
			}
		})
	}
	after := f.GetNode("kiosk")
	if after.Status.Presence != v1alpha1.PresenceOnline || after.Status.SessionID != before.Status.SessionID || after.Spec.PublicKeySHA256 != before.Spec.PublicKeySHA256 {
		t.Errorf("the true machine was disturbed: %+v", after.Status)
	}
}

// isRefused reports whether a certificate was refused, either by the rules of its Node or in the
// handshake. After a refusal in the handshake the client sees only a broken connection, and the
// gateway counts the reason.
func (f *fleet) isRefused(err error, handshake string) bool {
	f.Helper()
	if handshake == "" {
		return status.Code(err) == codes.PermissionDenied
	}
	counter := fmt.Sprintf("mooring_gateway_refused_total{listener=\"node\",reason=%q}", handshake)
	page := f.fetchPage(http.DefaultClient, "http://"+metrics["gateway"]+"/metrics")
	return status.Code(err) == codes.Unavailable && strings.Contains(string(page), counter)
}

// recoverCertificate requests a new certificate that replaces the current one.
func (m *machine) recoverCertificate(id identity.ID) codes.Code {
	m.Helper()
	exporter := m.exporterOf(func(o ...grpc.CallOption) {
		_, _ = m.pairing.GetPairingRequestStatus(m.BoundedContext(), &gatewayv1.GetPairingRequestStatusRequest{}, o...)
	})
	csr := m.csr(m.Key, id)
	proof := identity.Proof{Method: identity.ProofRecover, Exporter: exporter, CertificateSHA256: identity.FingerprintCertificate(m.Leaf()), CSR: csr}
	_, err := m.pairing.RecoverCertificate(m.BoundedContext(), &gatewayv1.RecoverCertificateRequest{
		Chain: [][]byte{m.Leaf().Raw}, Csr: csr, Proof: m.sign(m.Key, proof),
	})
	return status.Code(err)
}
