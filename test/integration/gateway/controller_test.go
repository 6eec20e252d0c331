package gateway_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// paired is a machine with its request. Its methods change the request and the Node as the
// controller does.
type paired struct {
	*machine
	t       *testing.T
	gateway *instance
	request *v1alpha1.PairingRequest
	name    client.ObjectKey // of the request; polls read it while the request changes
}

// startPairing pairs a new machine up to its PairingRequest.
func startPairing(t *testing.T, g *instance) *paired {
	t.Helper()
	code := issueCode(t, shared.Namespace(t), time.Minute, v1alpha1.PairingCodeSpec{})
	m := g.machine(t)
	if _, err := m.pair(t.Context(), code.Code); err != nil {
		t.Fatal(err)
	}
	request := &code.requests(t)[0]
	return &paired{machine: m, t: t, gateway: g, request: request, name: client.ObjectKeyFromObject(request)}
}

func (p *paired) id() identity.ID {
	return identity.ID{TrustDomain: trustDomain, Namespace: p.request.Namespace, Node: p.request.Spec.NodeName}
}

// pollStatus polls once.
func (p *paired) pollStatus(csr []byte) (*gatewayv1.GetPairingRequestStatusResponse, error) {
	return p.poll(p.t.Context(), p.name.Namespace, p.name.Name, csr)
}

// updateStatus changes the status of the request.
func (p *paired) updateStatus(change func(*v1alpha1.PairingRequestStatus)) {
	p.t.Helper()
	if err := shared.Client().Get(p.t.Context(), client.ObjectKeyFromObject(p.request), p.request); err != nil {
		p.t.Fatal(err)
	}
	change(&p.request.Status)
	if err := shared.Client().Status().Update(p.t.Context(), p.request); err != nil {
		p.t.Fatal(err)
	}
}

// newCondition returns a condition with a reason and a message.
func newCondition(kind string, is metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: is, Reason: reason, Message: message, LastTransitionTime: metav1.Now()}
}

// approve creates the Node and publishes the identity.
func (p *paired) approve() *v1alpha1.Node {
	p.t.Helper()
	node := &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.request.Namespace, Name: p.request.Spec.NodeName},
		Spec:       v1alpha1.NodeSpec{PublicKeySHA256: p.request.Spec.PublicKeySHA256, PairingRequestUID: string(p.request.UID)},
	}
	if err := shared.Client().Create(p.t.Context(), node); err != nil {
		p.t.Fatal(err)
	}
	p.updateStatus(func(s *v1alpha1.PairingRequestStatus) {
		s.Phase, s.SPIFFEID, s.NodeName = v1alpha1.PairingRequestApproved, p.id().URI(), node.Name
	})
	return node
}

// csr returns a fresh request of the machine's key.
func (p *paired) csr() []byte {
	p.t.Helper()
	return newCSR(p.t, p.key, p.id())
}

func newCSR(t *testing.T, key *ecdsa.PrivateKey, id identity.ID) []byte {
	t.Helper()
	der, err := identity.NewCSR(key, id)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// startSigner answers certificate requests of a Node as the controller does, until the test ends. It
// sends the requests that it has answered on the channel.
func startSigner(t *testing.T, ca *identitytest.Authority, key client.ObjectKey, id identity.ID, answer func(*v1alpha1.IssuedCertificate)) <-chan v1alpha1.NodeCertificateRequest {
	t.Helper()
	seen := make(chan v1alpha1.NodeCertificateRequest, 16)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			var node v1alpha1.Node
			if shared.Client().Get(ctx, key, &node) != nil || node.Status.CertificateRequest == nil {
				continue
			}
			certificateRequest := *node.Status.CertificateRequest
			name := identity.FingerprintCSR(certificateRequest.Request)
			if node.Status.Issued != nil && node.Status.Issued.RequestSHA256 == name {
				continue
			}
			node.Status.Issued = &v1alpha1.IssuedCertificate{RequestSHA256: name}
			if answer != nil {
				answer(node.Status.Issued)
			} else {
				node.Status.Issued.Chain = signCertificate(t, ca, certificateRequest.Request, id)
			}
			if shared.Client().Status().Update(ctx, &node) == nil {
				seen <- certificateRequest
			}
		}
	}()
	return seen
}

func signCertificate(t *testing.T, ca *identitytest.Authority, der []byte, id identity.ID) string {
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Error(err)
		return ""
	}
	return string(identity.MarshalCertificatesPEM(ca.IssueDevice(t, id, request.PublicKey.(*ecdsa.PublicKey))))
}
