package gateway_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/identity/identitytest"
)

// shortHold makes polls without a change return soon.
func shortHold(s *settings) { s.pairing.Hold = 300 * time.Millisecond }

func TestAPollIsForTheHolderOfTheKeyAlone(t *testing.T) {
	g := newGateway(t, shortHold)
	p := startPairing(t, g)
	if _, err := p.pollStatus(nil); err != nil {
		t.Errorf("the machine itself: %v", err)
	}
	stranger := g.machine(t)
	if _, err := stranger.poll(t.Context(), p.request.Namespace, p.request.Name, nil); status.Code(err) != codes.NotFound {
		t.Errorf("another key: got %v, want NotFound, as for a request that does not exist", err)
	}
	for _, name := range []string{"nobody", "", "../x", strings.Repeat("x", 300)} {
		if _, err := p.poll(t.Context(), p.request.Namespace, name, nil); status.Code(err) != codes.NotFound {
			t.Errorf("request %.20q: got %v, want NotFound", name, err)
		}
	}
}

func TestAPollSaysWhatIsWaitedFor(t *testing.T) {
	g := newGateway(t, shortHold)
	for _, test := range []struct {
		name   string
		set    func(*v1alpha1.PairingRequestStatus)
		before func(*paired)
		csr    bool
		says   string
	}{
		{name: "not checked yet", says: "waiting for the controller"},
		{name: "not decided yet", set: func(s *v1alpha1.PairingRequestStatus) { s.Phase = v1alpha1.PairingRequestPending }, says: "waiting for an approver"},
		{name: "the issuer is silent", before: func(p *paired) { p.approve() }, csr: true, set: func(s *v1alpha1.PairingRequestStatus) {
			s.Conditions = []metav1.Condition{newCondition(v1alpha1.ConditionIssued, metav1.ConditionFalse, v1alpha1.ReasonIssuerNotReady, "cert-manager has not answered for 20s")}
		}, says: "IssuerNotReady: cert-manager has not answered for 20s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startPairing(t, g)
			p.t = t
			if test.before != nil {
				test.before(p)
			}
			if test.set != nil {
				p.updateStatus(test.set)
			}
			var csr []byte
			if test.csr {
				csr = p.csr()
			}
			var got string
			soon.True(t, "the message "+test.says, func() bool {
				answer, err := p.pollStatus(csr)
				if err != nil {
					t.Fatal(err)
				}
				got = answer.GetPending().GetMessage()
				return strings.Contains(got, test.says)
			})
		})
	}
}

func TestAPollWakesUpWithTheDecision(t *testing.T) {
	g := newGateway(t)
	for _, test := range []struct {
		name   string
		decide func(p *paired)
		check  func(*gatewayv1.GetPairingRequestStatusResponse) bool
	}{
		{"approved", func(p *paired) { p.approve() }, func(a *gatewayv1.GetPairingRequestStatusResponse) bool {
			_, err := identity.ParseID(a.GetApproved().GetSpiffeId())
			return err == nil
		}},
		{"denied with the approver's words", func(p *paired) {
			p.request.Spec.Decision = &v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictDenied, Reason: "not ours"}
			if err := shared.Client().Update(p.t.Context(), p.request); err != nil {
				p.t.Fatal(err)
			}
			p.updateStatus(func(s *v1alpha1.PairingRequestStatus) { s.Phase = v1alpha1.PairingRequestDenied })
		}, func(a *gatewayv1.GetPairingRequestStatusResponse) bool {
			return a.GetDenied().GetReason() == "not ours"
		}},
		{"failed with the reason", func(p *paired) {
			p.updateStatus(func(s *v1alpha1.PairingRequestStatus) {
				s.Phase = v1alpha1.PairingRequestFailed
				s.Conditions = []metav1.Condition{newCondition(v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken, "node robot belongs to another key")}
			})
		}, func(a *gatewayv1.GetPairingRequestStatusResponse) bool {
			return a.GetFailed().GetReason() == "NameTaken: node robot belongs to another key"
		}},
		{"expired", func(p *paired) {
			p.updateStatus(func(s *v1alpha1.PairingRequestStatus) { s.Phase = v1alpha1.PairingRequestExpired })
		}, func(a *gatewayv1.GetPairingRequestStatusResponse) bool { return a.GetExpired() != nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startPairing(t, g)
			p.t = t
			type answered struct {
				answer *gatewayv1.GetPairingRequestStatusResponse
				err    error
			}
			answers := make(chan answered, 1)
			go func() {
				answer, err := p.pollStatus(nil)
				answers <- answered{answer, err}
			}()
			test.decide(p)
			got := <-answers
			if got.err != nil || !test.check(got.answer) {
				t.Errorf("got %v, %v", got.answer, got.err)
			}
		})
	}
}

func TestAnApprovedMachineGetsItsCertificate(t *testing.T) {
	g := newGateway(t)
	p := startPairing(t, g)
	node := p.approve()
	seen := startSigner(t, g.deviceCA, client.ObjectKeyFromObject(node), p.id(), nil)
	csr := p.csr()
	answer, err := p.pollStatus(csr)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := identity.ParseChain(answer.GetCompleted().GetChain())
	if err != nil {
		t.Fatalf("answer %v: %v", answer, err)
	}
	if identity.FingerprintSPKIDER(chain[0].RawSubjectPublicKeyInfo) != p.pin() {
		t.Error("the chain is of another key")
	}
	if bundle, err := identity.ParseBundle(answer.GetCompleted().GetTrustBundle()); err != nil || !bundle.Certificates()[0].Equal(g.serverCA.Certificate) {
		t.Errorf("the bundle is not the server CA: %v", err)
	}
	certificateRequest := <-seen
	proof := identity.Proof{Method: identity.ProofPairingStatus, Request: client.ObjectKeyFromObject(p.request).String(), Exporter: certificateRequest.Proof.Exporter, CSR: certificateRequest.Request}
	if err := identity.VerifyProof(&p.key.PublicKey, proof, certificateRequest.Proof.Signature); err != nil || certificateRequest.Purpose != v1alpha1.CertificateInitial {
		t.Errorf("the controller cannot check the %s request: %v", certificateRequest.Purpose, err)
	}
	// The answer was lost, and the controller has closed the request meanwhile.
	p.updateStatus(func(s *v1alpha1.PairingRequestStatus) { s.Phase = v1alpha1.PairingRequestCompleted })
	if answer, err = p.pollStatus(p.csr()); err != nil || len(answer.GetCompleted().GetChain()) == 0 {
		t.Errorf("after a lost answer: %v, %v", answer, err)
	}
}

func TestAWrongCSRIsNamedAndLeftNowhere(t *testing.T) {
	g := newGateway(t)
	p := startPairing(t, g)
	node := p.approve()
	soon.True(t, "the approval to be seen", func() bool {
		answer, err := p.pollStatus(nil)
		return err == nil && answer.GetApproved() != nil
	})
	other := p.id()
	other.Node = "other"
	for name, csr := range map[string][]byte{
		"of another key":       newCSR(t, identitytest.NewKey(t), p.id()),
		"for another identity": newCSR(t, p.key, other),
		"that is none":         []byte("nonsense"),
	} {
		if _, err := p.pollStatus(csr); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "csr:") {
			t.Errorf("a CSR %s: got %v, want InvalidArgument", name, err)
		}
	}
	if err := shared.Client().Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil || node.Status.CertificateRequest != nil {
		t.Errorf("a wrong CSR reached the Node: %v %v", node.Status.CertificateRequest, err)
	}
}

func TestARefusalOfTheControllerIsTold(t *testing.T) {
	g := newGateway(t, func(s *settings) { s.pairing.Hold = 2 * time.Second })
	p := startPairing(t, g)
	node := p.approve()
	startSigner(t, g.deviceCA, client.ObjectKeyFromObject(node), p.id(), func(i *v1alpha1.IssuedCertificate) { i.Error = "the issuer denied it" })
	answer, err := p.pollStatus(p.csr())
	if err != nil || !strings.Contains(answer.GetPending().GetMessage(), "the issuer denied it") {
		t.Errorf("got %v, %v; want the reason of the refusal", answer, err)
	}
}
