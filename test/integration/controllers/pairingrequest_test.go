package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func pinCode(t *testing.T, namespace string) *v1alpha1.PairingCode {
	t.Helper()
	return newCode(t, namespace, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
}

// checkCondition checks one condition of a request.
func (m machine) checkCondition(t *testing.T, kind string, status metav1.ConditionStatus, reason, text string) {
	t.Helper()
	condition := meta.FindStatusCondition(m.request.Status.Conditions, kind)
	if condition == nil || condition.Status != status || condition.Reason != reason || !strings.Contains(condition.Message, text) {
		t.Errorf("condition %s is %+v, want %s, %s, %q", kind, condition, status, reason, text)
	}
}

func TestApprovalMakesTheNodeAndPublishesItsIdentity(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{
		Method: v1alpha1.PairingMethodPIN, NodeLabels: map[string]v1alpha1.NodeLabelValue{"room": "lab"}, Capabilities: []string{"system.*"},
	})
	m := newPendingMachine(t, code, "box")
	m.checkCondition(t, v1alpha1.ConditionApproved, metav1.ConditionUnknown, v1alpha1.ReasonAwaitingDecision, m.request.Spec.VerificationCode)
	waitForObject(t, "the code is used", code, inPhase(v1alpha1.PairingCodeUsed))

	m.decide(t, `{"verdict":"Approved","reason":"I saw it"}`)
	m.awaitPhase(t, v1alpha1.PairingRequestApproved)
	m.checkCondition(t, v1alpha1.ConditionApproved, metav1.ConditionTrue, v1alpha1.ReasonApproved, "approved by ada: I saw it")
	m.checkCondition(t, v1alpha1.ConditionIssued, metav1.ConditionFalse, v1alpha1.ReasonAwaitingCertificateRequest, "")
	if m.request.Status.SPIFFEID != m.id().URI() || m.request.Status.NodeName != "box" {
		t.Errorf("published %q for node %q", m.request.Status.SPIFFEID, m.request.Status.NodeName)
	}
	node := get(t, m.node())
	want := v1alpha1.NodeSpec{
		PublicKeySHA256: m.pin, PairingRequestUID: string(m.request.UID), DesiredState: v1alpha1.NodeActive, MaxInFlight: 4,
		CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"system.health"}},
	}
	if diff := cmp.Diff(want, node.Spec); diff != "" {
		t.Errorf("the Node is not what was approved (-want +got):\n%s", diff)
	}
	if node.Labels["room"] != "lab" {
		t.Errorf("labels are %v", node.Labels)
	}
	waitForEvent(t, m.request, v1alpha1.ReasonApproved)
}

func TestDeniedRequestMakesNothing(t *testing.T) {
	t.Parallel()
	code := pinCode(t, shared.Namespace(t))
	m := newPendingMachine(t, code, "box")
	m.decide(t, `{"verdict":"Denied","reason":"not ours"}`)
	m.awaitPhase(t, v1alpha1.PairingRequestDenied)
	m.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ReasonDenied, "denied by ada: not ours")
	if err := shared.Client().Get(t.Context(), client.ObjectKeyFromObject(m.node()), m.node()); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("a Node was made: %v", err)
	}
	waitForDeletion(t, "the record of a terminal request goes", recordOf(code))
}

func TestUndecidedRequestExpires(t *testing.T) {
	t.Parallel()
	code := pinCode(t, shared.Namespace(t))
	m := newMachine(t, code, "box")
	m.request.Spec.ExpiresTime = metav1.NewTime(time.Now().Add(2 * time.Second).Truncate(time.Second))
	m.send(t, code)
	m.awaitPhase(t, v1alpha1.PairingRequestExpired)
	m.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ReasonRequestExpired, "pair the machine again")
}

// These are the requests that a stolen gateway could write without a machine that knows the code.
func TestForgedRequestsFail(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	_, foreign := newKey(t)
	tests := map[string]struct {
		forge  func(*machine)
		record func(machine) map[string]string // values of the record; nil: the right key used it
		reason string
	}{
		"a fingerprint of another key": {reason: v1alpha1.ReasonKeyMismatch, forge: func(m *machine) { m.request.Spec.PublicKeySHA256 = foreign }},
		"the verification code of another key": {reason: v1alpha1.ReasonKeyMismatch, forge: func(m *machine) {
			m.request.Spec.VerificationCode = "00000-00000"
		}},
		"a key that is none": {reason: v1alpha1.ReasonKeyMismatch, forge: func(m *machine) { m.request.Spec.PublicKey = "no key" }},
		"a code nobody used": {reason: v1alpha1.ReasonCodeMismatch, record: func(machine) map[string]string { return nil }},
		"a code that another key used": {reason: v1alpha1.ReasonCodeMismatch, record: func(m machine) map[string]string {
			return map[string]string{v1alpha1.RecordKeyConsumedBy: foreign, v1alpha1.RecordKeyRequestName: m.request.Name}
		}},
		"a second request for one code": {reason: v1alpha1.ReasonCodeMismatch, record: func(m machine) map[string]string {
			return map[string]string{v1alpha1.RecordKeyConsumedBy: m.pin, v1alpha1.RecordKeyRequestName: "another"}
		}},
		"another issuer than the code's": {reason: v1alpha1.ReasonCodeMismatch, forge: func(m *machine) { m.request.Spec.CodeIssuedBy = "root" }},
		"another method than the code's": {reason: v1alpha1.ReasonCodeMismatch, forge: func(m *machine) { m.request.Spec.Method = v1alpha1.PairingMethodQR }},
		"a code that does not exist":     {reason: v1alpha1.ReasonCodeNotFound, forge: func(m *machine) { m.request.Spec.CodeName = "nowhere" }},
		"a service account nobody reviewed": {reason: v1alpha1.ReasonServiceAccountRefused, forge: func(m *machine) {
			spec := &m.request.Spec
			spec.Method, spec.CodeName, spec.CodeIssuedBy, spec.TranscriptSHA256 = v1alpha1.PairingMethodServiceAccount, "", "", ""
			spec.ServiceAccount = &v1alpha1.ServiceAccountIdentity{Namespace: "default", Name: "default"}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code := pinCode(t, namespace)
			m := newMachine(t, code, "box")
			values := map[string]string{v1alpha1.RecordKeyConsumedBy: m.pin, v1alpha1.RecordKeyRequestName: m.request.Name}
			if test.record != nil {
				values = test.record(m)
			}
			if test.forge != nil {
				test.forge(&m)
			}
			updateRecordAsGateway(t, code, values)
			m.create(t)
			m.awaitPhase(t, v1alpha1.PairingRequestFailed)
			m.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, test.reason, "")
		})
	}
}

func TestNameOfAnotherMachineIsTaken(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	first := newApprovedMachine(t, namespace, "box")
	second := newPendingMachine(t, pinCode(t, namespace), "box")
	second.decide(t, `{"verdict":"Approved"}`)
	second.awaitPhase(t, v1alpha1.PairingRequestFailed)
	second.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken, "replaceNode")
	if node := get(t, first.node()); node.Spec.PublicKeySHA256 != first.pin {
		t.Error("the Node changed hands")
	}
}

func TestReplaceNodeGivesAnExistingNodeANewKey(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	first := newApprovedMachine(t, namespace, "box")
	replace := v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: "box", ReplaceNode: true}
	second := newPendingMachine(t, newCode(t, namespace, replace), "box")
	before := get(t, first.node())
	second.decide(t, `{"verdict":"Approved"}`)
	second.awaitPhase(t, v1alpha1.PairingRequestApproved)
	node := get(t, first.node())
	if node.UID != before.UID || node.Spec.PublicKeySHA256 != second.pin || node.Spec.PairingRequestUID != string(second.request.UID) {
		t.Errorf("the Node is %s with key %s of request %s", node.UID, node.Spec.PublicKeySHA256, node.Spec.PairingRequestUID)
	}
	// The first machine never got its certificate and cannot get it any more.
	first.awaitPhase(t, v1alpha1.PairingRequestFailed)

	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"desiredState":"Revoked"}}`))
	if err := shared.Client().Patch(t.Context(), node, patch); err != nil {
		t.Fatal(err)
	}
	third := newPendingMachine(t, newCode(t, namespace, replace), "box")
	third.decide(t, `{"verdict":"Approved"}`)
	third.awaitPhase(t, v1alpha1.PairingRequestFailed)
	third.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ReasonNameTaken, "Revoked")
}

func TestReplaceNodeNarrowsToWhatTheApproverChose(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	first := newApprovedMachine(t, namespace, "box")
	replace := v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: "box", ReplaceNode: true}
	second := newPendingMachine(t, newCode(t, namespace, replace), "box")
	second.decide(t, `{"verdict":"Approved","capabilities":["echo"]}`)
	second.awaitPhase(t, v1alpha1.PairingRequestApproved)
	node := get(t, first.node())
	if diff := cmp.Diff([]string{"echo"}, node.Spec.CapabilityPolicy.Allow); diff != "" || node.Spec.PublicKeySHA256 != second.pin {
		t.Errorf("the new machine has key %s and may (-want +got):\n%s", node.Spec.PublicKeySHA256, diff)
	}
}

func TestDecisionWaitsWhileThePoliciesAreNotProven(t *testing.T) {
	m := newPendingMachine(t, pinCode(t, shared.Namespace(t)), "box")
	closeGate(t)
	m.decide(t, `{"verdict":"Approved"}`)
	waitForObject(t, "the request shows why it waits", m.request, func(request *v1alpha1.PairingRequest) error {
		condition := meta.FindStatusCondition(request.Status.Conditions, v1alpha1.ConditionApproved)
		if request.Status.Phase != v1alpha1.PairingRequestPending || condition.Reason != v1alpha1.ErrorPolicyUnproven {
			return fmt.Errorf("phase %s, %+v", request.Status.Phase, condition)
		}
		return nil
	})
	openGate()
	m.awaitPhase(t, v1alpha1.PairingRequestApproved)
}

func TestQRCodeMayApproveByItself(t *testing.T) {
	t.Parallel()
	code := newCode(t, shared.Namespace(t), v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR, AutoApprove: true})
	m := newMachine(t, code, "box")
	m.send(t, code)
	m.awaitPhase(t, v1alpha1.PairingRequestApproved)
	m.checkCondition(t, v1alpha1.ConditionApproved, metav1.ConditionTrue, v1alpha1.ReasonAutoApproved, code.Name)
	if by := m.request.Spec.Decision.By; by != "system:serviceaccount:mooring-system:mooring-controller" {
		t.Errorf("decided by %q", by)
	}
	if reason := m.request.Spec.Decision.Reason; !strings.Contains(reason, code.Spec.IssuedBy) {
		t.Errorf("the decision does not name the issuer of the code: %q", reason)
	}
}

func TestDeletedNodeFailsItsUnfinishedRequest(t *testing.T) {
	t.Parallel()
	m := newApprovedMachine(t, shared.Namespace(t), "box")
	if err := shared.Client().Delete(t.Context(), m.node()); err != nil {
		t.Fatal(err)
	}
	m.awaitPhase(t, v1alpha1.PairingRequestFailed)
	m.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ErrorNodeDeleted, "pair this one again")
	waitForDeletion(t, "the Node goes", m.node())
}

// backdateApproval dates the approval of a machine back.
func (m machine) backdateApproval(t *testing.T, ago time.Duration) {
	t.Helper()
	patient.Succeeds(t, "the approval is dated back", func(ctx context.Context) error {
		request := get(t, m.request)
		approved := meta.FindStatusCondition(request.Status.Conditions, v1alpha1.ConditionApproved)
		approved.LastTransitionTime = metav1.NewTime(time.Now().Add(-ago))
		return shared.Client().Status().Update(ctx, request)
	})
}

func TestApprovedMachineThatNeverComesEndsAndFreesItsName(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	m, waiting := newApprovedMachine(t, namespace, "box"), newApprovedMachine(t, namespace, "desk")
	waiting.backdateApproval(t, 23*time.Hour)
	m.backdateApproval(t, 25*time.Hour)
	m.awaitPhase(t, v1alpha1.PairingRequestFailed)
	m.checkCondition(t, v1alpha1.ConditionCompleted, metav1.ConditionFalse, v1alpha1.ReasonNotCollected, "pair it again with a new code")
	waitForDeletion(t, "the Node that never had a certificate goes", m.node())
	newApprovedMachine(t, namespace, "box") // under the same name, with another key
	if get(t, waiting.request); waiting.request.Status.Phase != v1alpha1.PairingRequestApproved {
		t.Errorf("an hour before the end a request is %s", waiting.request.Status.Phase)
	}
	// A late machine gets its certificate if its request is still open.
	csr := waiting.csr(t)
	waiting.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
	waiting.publishedChain(t, waiting.awaitAnswer(t, csr), waiting.pin)
}

func TestMachineThatAsksIsWaitedForHoweverLongTheIssuerTakes(t *testing.T) {
	m := newApprovedMachine(t, shared.Namespace(t), "box")
	closeGate(t)
	csr := m.csr(t)
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
	m.awaitPendingReason(t, v1alpha1.ErrorPolicyUnproven, errGateClosed.Error())
	m.backdateApproval(t, 25*time.Hour)
	openGate()
	m.publishedChain(t, m.awaitAnswer(t, csr), m.pin)
	m.awaitPhase(t, v1alpha1.PairingRequestCompleted)
}

func TestTakenOverNodeOutlivesAMachineThatNeverComes(t *testing.T) {
	t.Parallel()
	old, node := newCertifiedMachine(t)
	code := newCode(t, node.Namespace, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: node.Name, ReplaceNode: true})
	m := newPendingMachine(t, code, node.Name)
	m.decide(t, `{"verdict":"Approved"}`)
	m.awaitPhase(t, v1alpha1.PairingRequestApproved)
	m.backdateApproval(t, 25*time.Hour)
	m.awaitPhase(t, v1alpha1.PairingRequestFailed)
	if after := get(t, old.node()); !after.DeletionTimestamp.IsZero() || after.UID != node.UID {
		t.Errorf("the Node that was taken over is going: %+v", after.ObjectMeta)
	}
}
