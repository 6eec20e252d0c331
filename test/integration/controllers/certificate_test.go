package controllers_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/identity"
)

func TestFirstCertificateCompletesTheRequest(t *testing.T) {
	t.Parallel()
	m, node := newCertifiedMachine(t)
	leaf := m.publishedChain(t, node, m.pin)[0]
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life != 24*time.Hour {
		t.Errorf("it lives %s, want 24h", life)
	}
	history := node.Status.CertificateHistory
	if len(history) != 1 || history[0].FingerprintSHA256 != identity.FingerprintCertificate(leaf) || history[0].PublicKeySHA256 != m.pin {
		t.Errorf("history is %+v", history)
	}
	if !meta.IsStatusConditionTrue(node.Status.Conditions, v1alpha1.ConditionCertificateValid) ||
		node.Status.CertificateExpires != leaf.NotAfter.UTC().Format(time.RFC3339) {
		t.Errorf("expires %q, conditions %+v", node.Status.CertificateExpires, node.Status.Conditions)
	}
	m.awaitPhase(t, v1alpha1.PairingRequestCompleted)
	m.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionTrue, v1alpha1.ReasonCompleted, "")
	m.checkCondition(t, v1alpha1.ConditionIssued, metav1.ConditionTrue, v1alpha1.ReasonCertificateIssued, "")
	waitForNoRequests(t, m.request.Namespace)
	waitForObject(t, "the Node is trusted", m.node(), func(node *v1alpha1.Node) error {
		if node.Status.Trust != v1alpha1.TrustTrusted {
			return fmt.Errorf("trust is %q", node.Status.Trust)
		}
		return nil
	})
}

func TestRenewalKeepsTheHistory(t *testing.T) {
	t.Parallel()
	m, first := newCertifiedMachine(t)
	csr := m.csr(t)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRenewal})
	node := m.awaitAnswer(t, csr)
	m.publishedChain(t, node, m.pin)
	history := node.Status.CertificateHistory
	if len(history) != 2 || history[1].FingerprintSHA256 != first.Status.CertificateHistory[0].FingerprintSHA256 {
		t.Errorf("history is %+v", history)
	}
	waitForNoRequests(t, m.request.Namespace)
}

func TestRequestsThatAreNotTheMachinesOwnAreRefused(t *testing.T) {
	t.Parallel()
	m := newApprovedMachine(t, shared.Namespace(t), "box")
	stranger, _ := newKey(t)
	foreign := machine{key: stranger, request: m.request}
	elsewhere, err := identity.NewCSR(m.key, identity.ID{TrustDomain: trustDomain, Namespace: "other", Node: "box"})
	if err != nil {
		t.Fatal(err)
	}
	named, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"gateway.mooring"}}, m.key)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := m.csr(t)
	unsigned[len(unsigned)-1] ^= 1
	for name, test := range map[string]struct {
		csr     []byte
		purpose v1alpha1.CertificatePurpose
		want    string
	}{
		"a broken signature":               {unsigned, v1alpha1.CertificateInitial, "BadSignature"},
		"another key":                      {foreign.csr(t), v1alpha1.CertificateInitial, "not the key of this Node"},
		"another key, called a renewal":    {foreign.csr(t), v1alpha1.CertificateRenewal, "not the key of this Node"},
		"another key, rotated without one": {foreign.csr(t), v1alpha1.CertificateRotation, "pinned key"},
		"another namespace":                {elsewhere, v1alpha1.CertificateInitial, "WrongIdentity"},
		"the name of a gateway":            {named, v1alpha1.CertificateInitial, "UnexpectedName"},
		"a recovery without proof":         {m.csr(t), v1alpha1.CertificateRecovery, "proof is missing"},
		"noise":                            {[]byte("noise"), v1alpha1.CertificateInitial, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: test.csr, Purpose: test.purpose})
			node := m.awaitAnswer(t, test.csr)
			if node.Status.Issued.Chain != "" || !strings.Contains(node.Status.Issued.Error, test.want) {
				t.Errorf("answer is %+v, want an error with %q", node.Status.Issued, test.want)
			}
			waitForObject(t, "the request shows the error", m.request, func(request *v1alpha1.PairingRequest) error {
				issued := meta.FindStatusCondition(request.Status.Conditions, v1alpha1.ConditionIssued)
				if issued == nil || issued.Reason != v1alpha1.ReasonCertificateRefused || issued.Message != node.Status.Issued.Error {
					return fmt.Errorf("Issued is %+v", issued)
				}
				return nil
			})
		})
	}
	waitForNoRequests(t, m.request.Namespace)
}

func TestRevokedNodeGetsNoCertificate(t *testing.T) {
	t.Parallel()
	m, node := newCertifiedMachine(t)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"desiredState":"Revoked"}}`))
	if err := shared.Client().Patch(t.Context(), node.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
	csr := m.csr(t)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRenewal})
	if issued := m.awaitAnswer(t, csr).Status.Issued; issued.Chain != "" || !strings.Contains(issued.Error, "revoked") {
		t.Errorf("answer is %+v", issued)
	}
}

func TestNewKeyIsAdmittedBesideThePinAndReplacesItWhenUsed(t *testing.T) {
	t.Parallel()
	m, _ := newCertifiedMachine(t)
	key, next := newKey(t)
	rotated := machine{key: key, pin: next, request: m.request}
	csr, exporter := rotated.csr(t), make([]byte, 32)
	proof, err := identity.SignProof(m.key, rand.Reader, identity.Proof{Method: identity.ProofRotate, Exporter: exporter, CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRotation,
		Proof: &v1alpha1.CertificateProof{Exporter: exporter, Signature: proof}})
	node := m.awaitAnswer(t, csr)
	leaf := rotated.publishedChain(t, node, next)[0]
	if node.Spec.PublicKeySHA256 != m.pin || node.Spec.NextPublicKeySHA256 != next {
		t.Fatalf("pin is %s, next %s", node.Spec.PublicKeySHA256, node.Spec.NextPublicKeySHA256)
	}
	used := client.RawPatch(types.MergePatchType, fmt.Appendf(nil,
		`{"status":{"certificate":{"fingerprintSHA256":%q,"publicKeySHA256":%q}}}`, identity.FingerprintCertificate(leaf), next))
	if err := gatewayClient(t).Status().Patch(t.Context(), node.DeepCopy(), used); err != nil {
		t.Fatal(err)
	}
	waitForObject(t, "the next key is the pin", m.node(), func(node *v1alpha1.Node) error {
		if node.Spec.PublicKeySHA256 != next || node.Spec.NextPublicKeySHA256 != "" {
			return fmt.Errorf("pin is %s, next %s", node.Spec.PublicKeySHA256, node.Spec.NextPublicKeySHA256)
		}
		return nil
	})
}

func TestLapsedMachineRecoversWithItsOwnCertificate(t *testing.T) {
	t.Parallel()
	m, node := newCertifiedMachine(t)
	csr, exporter := m.csr(t), make([]byte, 32)
	sign := func(fingerprint string) *v1alpha1.CertificateProof {
		signature, err := identity.SignProof(m.key, rand.Reader, identity.Proof{
			Method: identity.ProofRecover, Exporter: exporter, CertificateSHA256: fingerprint, CSR: csr,
		})
		if err != nil {
			t.Fatal(err)
		}
		return &v1alpha1.CertificateProof{Exporter: exporter, CertificateFingerprintSHA256: fingerprint, Signature: signature}
	}
	unknown := strings.Repeat("00", 32)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRecovery, Proof: sign(unknown)})
	if issued := m.awaitAnswer(t, csr).Status.Issued; !strings.Contains(issued.Error, "not in the history") {
		t.Errorf("answer is %+v", issued)
	}
	csr = m.csr(t) // sign uses this variable too
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRecovery,
		Proof: sign(node.Status.CertificateHistory[0].FingerprintSHA256)})
	m.publishedChain(t, m.awaitAnswer(t, csr), m.pin)
}

// A signature that covers no exporter could be replayed over any connection, at any time.
func TestAProofThatIsBoundToNoConnectionIsRefused(t *testing.T) {
	t.Parallel()
	m, node := newCertifiedMachine(t)
	fingerprint := node.Status.CertificateHistory[0].FingerprintSHA256
	recovers := func(exporter []byte) *v1alpha1.Node {
		csr := m.csr(t)
		m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRecovery, Proof: &v1alpha1.CertificateProof{
			Exporter: exporter, CertificateFingerprintSHA256: fingerprint, Signature: m.signRecovery(t, exporter, fingerprint, csr)}})
		return m.awaitAnswer(t, csr)
	}
	if issued := recovers(nil).Status.Issued; issued.Chain != "" || !strings.Contains(issued.Error, identity.ErrIncompleteProof.Error()) {
		t.Errorf("answer is %+v, want an error with %q", issued, identity.ErrIncompleteProof)
	}
	m.publishedChain(t, recovers(make([]byte, 32)), m.pin)
}

// signRecovery signs a recovery proof like identity.SignProof, but without its checks.
func (m machine) signRecovery(t *testing.T, exporter []byte, fingerprint string, csr []byte) []byte {
	t.Helper()
	request := sha256.Sum256(csr)
	var message []byte
	for _, part := range [][]byte{[]byte("mooring device proof v1"), []byte(identity.ProofRecover), nil, exporter, []byte(fingerprint), request[:]} {
		message = binary.LittleEndian.AppendUint64(message, uint64(len(part)))
		message = append(message, part...)
	}
	digest := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, m.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// A gateway that invents a next key can sign for it only with that key.
func TestARotationIsSignedByThePinnedKey(t *testing.T) {
	t.Parallel()
	m, _ := newCertifiedMachine(t)
	key, pin := newKey(t)
	invented := machine{key: key, pin: pin, request: m.request}
	csr := invented.csr(t)
	proof := identity.Proof{Method: identity.ProofRotate, Exporter: make([]byte, 32), CSR: csr}
	signature, err := identity.SignProof(key, rand.Reader, proof)
	if err != nil {
		t.Fatal(err)
	}
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRotation,
		Proof: &v1alpha1.CertificateProof{Exporter: proof.Exporter, Signature: signature}})
	node := m.awaitAnswer(t, csr)
	if issued := node.Status.Issued; issued.Chain != "" || !strings.Contains(issued.Error, "signed for by the pinned one") || node.Spec.NextPublicKeySHA256 != "" {
		t.Errorf("the key of a gateway's choice is answered %+v, next key %q", issued, node.Spec.NextPublicKeySHA256)
	}
}

// A machine may crash after it stored its next key, and return after both certificates expired.
func TestLapsedMachineRecoversWithTheNextKeyItNeverUsed(t *testing.T) {
	t.Parallel()
	m, _ := newCertifiedMachine(t)
	key, next := newKey(t)
	rotated := machine{key: key, pin: next, request: m.request}
	csr, exporter := rotated.csr(t), make([]byte, 32)
	prove := func(by machine, p identity.Proof) *v1alpha1.CertificateProof {
		signature, err := identity.SignProof(by.key, rand.Reader, p)
		if err != nil {
			t.Fatal(err)
		}
		return &v1alpha1.CertificateProof{Exporter: p.Exporter, CertificateFingerprintSHA256: p.CertificateSHA256, Signature: signature}
	}
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRotation,
		Proof: prove(m, identity.Proof{Method: identity.ProofRotate, Exporter: exporter, CSR: csr})})
	node := m.awaitAnswer(t, csr)
	leaf := rotated.publishedChain(t, node, next)[0]

	comesBack := func(by machine, fingerprint string) *v1alpha1.Node {
		csr := by.csr(t)
		m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateRecovery,
			Proof: prove(by, identity.Proof{Method: identity.ProofRecover, Exporter: exporter, CertificateSHA256: fingerprint, CSR: csr})})
		return m.awaitAnswer(t, csr)
	}
	thief, pin := newKey(t)
	chosen := machine{key: thief, pin: pin, request: m.request}
	if issued := comesBack(chosen, identity.FingerprintCertificate(leaf)).Status.Issued; issued.Chain != "" || !strings.Contains(issued.Error, "not the key of this Node") {
		t.Errorf("a key of the gateway's choice is answered %+v", issued)
	}
	if issued := comesBack(rotated, node.Status.CertificateHistory[1].FingerprintSHA256).Status.Issued; !strings.Contains(issued.Error, "not in the history") {
		t.Errorf("the certificate of another key is answered %+v", issued)
	}
	after := comesBack(rotated, identity.FingerprintCertificate(leaf))
	rotated.publishedChain(t, after, next)
	if after.Spec.PublicKeySHA256 != m.pin || after.Spec.NextPublicKeySHA256 != next {
		t.Errorf("pin is %s, next %s", after.Spec.PublicKeySHA256, after.Spec.NextPublicKeySHA256)
	}
	m.publishedChain(t, comesBack(m, node.Status.CertificateHistory[1].FingerprintSHA256), m.pin)
}

func TestNoCertificateWhileThePoliciesAreNotProven(t *testing.T) {
	m := newApprovedMachine(t, shared.Namespace(t), "box")
	closeGate(t)
	csr := m.csr(t)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
	m.awaitPendingReason(t, v1alpha1.ErrorPolicyUnproven, errGateClosed.Error())
	openGate()
	m.publishedChain(t, m.awaitAnswer(t, csr), m.pin)
}

func TestStoppedIssuerIsWaitedForAndSaidSo(t *testing.T) {
	start := stopCertManager(t)
	m := newApprovedMachine(t, shared.Namespace(t), "box")
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: m.csr(t), Purpose: v1alpha1.CertificateInitial})
	m.awaitPendingReason(t, v1alpha1.ReasonIssuerNotReady, "cert-manager has not answered for over 5 s")
	// The machine sends a fresh request, as it does when there is no answer.
	csr := m.csr(t)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
	start()
	m.publishedChain(t, m.awaitAnswer(t, csr), m.pin)
	m.awaitPhase(t, v1alpha1.PairingRequestCompleted)
	waitForNoRequests(t, m.request.Namespace)
}

func TestDeletedNodeLeavesNoRequestBehind(t *testing.T) {
	t.Parallel()
	m, node := newCertifiedMachine(t)
	if err := shared.Client().Delete(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	waitForDeletion(t, "the Node goes", m.node())
	waitForNoRequests(t, m.request.Namespace)
}

func TestRequestLeftByAControllerThatDiedIsDeleted(t *testing.T) {
	t.Parallel()
	m, node := newCertifiedMachine(t)
	waitForNoRequests(t, m.request.Namespace)
	left := &certmanagerv1.CertificateRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, GenerateName: "box-", Labels: map[string]string{
			v1alpha1.LabelComponent: "node-certificate", v1alpha1.LabelNamespace: node.Namespace, v1alpha1.LabelNode: node.Name,
		}},
		Spec: certmanagerv1.CertificateRequestSpec{
			Request:   identity.MarshalCSRPEM(m.csr(t)),
			IssuerRef: cmmeta.IssuerReference{Name: v1alpha1.DeviceIssuer},
		},
	}
	if err := issuerClient(t).Create(t.Context(), left); err != nil {
		t.Fatal(err)
	}
	waitForNoRequests(t, m.request.Namespace)
	if after := get(t, m.node()); len(after.Status.CertificateHistory) != 1 {
		t.Errorf("the foreign request was answered: %+v", after.Status.CertificateHistory)
	}
}
