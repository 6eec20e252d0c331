package controllers_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const (
	// maxRefusedWrites is the maximum number of writes in the first minute of a refusal. It
	// includes the writes before the refused one, its attempts, dry runs, the condition and the
	// Event.
	maxRefusedWrites = 20
	// refusalText is the message of the policies of the tests.
	refusalText = "refused by the policy of this test"
)

// refusalWindow returns how long the writes of a refused controller are counted.
func refusalWindow() time.Duration {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return time.Minute
	}
	return 15 * time.Second
}

// refusedWrite is a write of a controller that the API server refuses.
type refusedWrite struct {
	group, resource string
	operation       admissionregistrationv1.OperationType
	// namespace is the namespace of the object; "" means the fleet.
	namespace string
	// reason is the reason of the refusal; "" means Invalid, as for a policy without a reason.
	reason metav1.StatusReason
	// start creates the preconditions, calls refuse, and causes the write. It returns the object
	// that shows the refusal.
	start func(t *testing.T, fleet string, refuse func()) client.Object
	// eventOnly means that the refused write is the status itself, or that the object has no
	// conditions.
	eventOnly bool
	// waitForSuccess returns once the controller has completed its work.
	waitForSuccess func(t *testing.T, shown client.Object)
}

var refusedWrites = map[string]refusedWrite{
	"finalizer of a code": {group: v1alpha1.GroupName, resource: "pairingcodes", operation: admissionregistrationv1.Update,
		start: startCode, waitForSuccess: codeBecomesActive},
	"record of a code": {resource: "secrets", operation: admissionregistrationv1.Create, namespace: v1alpha1.PairingNamespace,
		reason: metav1.StatusReasonForbidden, start: startCode, waitForSuccess: codeBecomesActive},
	"Secret of a code": {resource: "secrets", operation: admissionregistrationv1.Create, reason: metav1.StatusReasonRequestEntityTooLarge,
		start: startCode, waitForSuccess: codeBecomesActive},
	"renewed record of a code": {resource: "secrets", operation: admissionregistrationv1.Update, namespace: v1alpha1.PairingNamespace,
		start: startHalfMadeCode, waitForSuccess: codeBecomesActive},
	"outdated Secret of a code": {resource: "secrets", operation: admissionregistrationv1.Delete,
		start: startHalfMadeCode, waitForSuccess: codeBecomesActive},
	"deleted record of a code": {resource: "secrets", operation: admissionregistrationv1.Delete, namespace: v1alpha1.PairingNamespace,
		start: startDeletedCode, waitForSuccess: waitForObjectDeletion},
	"status of a code": {group: v1alpha1.GroupName, resource: "pairingcodes/status", operation: admissionregistrationv1.Update, eventOnly: true,
		start: startCode, waitForSuccess: codeBecomesActive},
	"old code": {group: v1alpha1.GroupName, resource: "pairingcodes", operation: admissionregistrationv1.Delete,
		start: startOldCode, waitForSuccess: waitForObjectDeletion},
	"decision that a code makes": {group: v1alpha1.GroupName, resource: "pairingrequests", operation: admissionregistrationv1.Update,
		start: startAutoApproval, waitForSuccess: requestBecomesApproved},
	"status of a request": {group: v1alpha1.GroupName, resource: "pairingrequests/status", operation: admissionregistrationv1.Update, eventOnly: true,
		start: startRequest, waitForSuccess: requestBecomesPending},
	"old request": {group: v1alpha1.GroupName, resource: "pairingrequests", operation: admissionregistrationv1.Delete,
		start: startOldRequest, waitForSuccess: waitForObjectDeletion},
	"Node of an approved request": {group: v1alpha1.GroupName, resource: "nodes", operation: admissionregistrationv1.Create,
		reason: metav1.StatusReasonForbidden, start: startApproval, waitForSuccess: requestBecomesApproved},
	"Node that a machine takes over": {group: v1alpha1.GroupName, resource: "nodes", operation: admissionregistrationv1.Update,
		start: startTakeover, waitForSuccess: requestBecomesApproved},
	"finalizer of a deleted Node": {group: v1alpha1.GroupName, resource: "nodes", operation: admissionregistrationv1.Update,
		start: startDeletedNode, waitForSuccess: waitForObjectDeletion},
	"Node of a machine that never came": {group: v1alpha1.GroupName, resource: "nodes", operation: admissionregistrationv1.Delete,
		start: startAbandonedRequest, waitForSuccess: requestBecomesFailed},
	"status of a Node": {group: v1alpha1.GroupName, resource: "nodes/status", operation: admissionregistrationv1.Update, eventOnly: true,
		start: startNode, waitForSuccess: nodeIsDescribed},
	"end of the session of a dead gateway": {group: v1alpha1.GroupName, resource: "nodes/status", operation: admissionregistrationv1.Update, eventOnly: true,
		start: startDeadGateway, waitForSuccess: sessionEnds},
	"Lease of a dead gateway": {group: "coordination.k8s.io", resource: "leases", operation: admissionregistrationv1.Delete, namespace: v1alpha1.SystemNamespace,
		eventOnly: true, start: startDeadLease, waitForSuccess: waitForObjectDeletion},
	"order of a certificate": {group: "cert-manager.io", resource: "certificaterequests", operation: admissionregistrationv1.Create, namespace: v1alpha1.SystemNamespace,
		start: startCertificate, waitForSuccess: certificateIsIssued},
	"answered order of a certificate": {group: "cert-manager.io", resource: "certificaterequests", operation: admissionregistrationv1.Delete, namespace: v1alpha1.SystemNamespace,
		start: startCertificate, waitForSuccess: certificateIsIssued},
	"status of a dispatch": {group: v1alpha1.GroupName, resource: "capabilitydispatches/status", operation: admissionregistrationv1.Update, eventOnly: true,
		start: startCancelledDispatch, waitForSuccess: dispatchIsCancelled},
	"old dispatch": {group: v1alpha1.GroupName, resource: "capabilitydispatches", operation: admissionregistrationv1.Delete, eventOnly: true,
		start: startOldDispatch, waitForSuccess: waitForObjectDeletion},
}

// trustWrites run alone: every other row needs the object.
var trustWrites = map[string]refusedWrite{
	"new trust bundles": {resource: "configmaps", operation: admissionregistrationv1.Create, namespace: v1alpha1.SystemNamespace,
		eventOnly: true, start: startDeletedTrust, waitForSuccess: trustIsComplete},
	"changed trust bundles": {resource: "configmaps", operation: admissionregistrationv1.Update, namespace: v1alpha1.SystemNamespace,
		eventOnly: true, start: startSpoiltTrust, waitForSuccess: trustIsComplete},
}

func TestARefusedWriteBacksOffSaysWhyAndGoesOn(t *testing.T) {
	t.Parallel()
	// Rows refuse the first writes of these bundles, and other rows need them.
	trustBundle(t, v1alpha1.TrustServerCAKey)
	trustBundle(t, v1alpha1.TrustDeviceCAKey)
	for name, row := range refusedWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row.run(t)
		})
	}
}

// This test is not parallel: while a row runs, certificates and QR codes have no trust bundles.
func TestARefusedTrustBundleBacksOffSaysWhyAndGoesOn(t *testing.T) {
	for name, row := range trustWrites {
		t.Run(name, row.run)
	}
}

func (row refusedWrite) run(t *testing.T) {
	fleet := shared.Namespace(t)
	lift, mark := func() {}, time.Time{}
	shown := row.start(t, fleet, func() {
		lift = refuseByPolicy(t, row, fleet)
		mark = time.Now()
	})
	if row.eventOnly {
		waitForWarning(t, shown, v1alpha1.ReasonWriteRefused, refusalText)
	} else {
		waitForRefusal(t, shown, refusalText)
	}
	if request, ok := shown.(*v1alpha1.PairingRequest); ok && request.Spec.Decision != nil && request.Status.Phase == v1alpha1.PairingRequestPending {
		machine{request: request}.checkCondition(t, v1alpha1.ConditionApproved, metav1.ConditionUnknown, v1alpha1.ReasonWriteRefused, refusalText)
	}
	checkFewWrites(t, fleet, mark)
	lift()
	row.waitForSuccess(t, shown)
	waitForRecovery(t, shown)
}

// Events of a refused object must not cause an attempt before the delay is over.
func TestEventsOfARefusedObjectCauseNoWrites(t *testing.T) {
	fleet := shared.Namespace(t)
	newQuota(t, fleet, corev1.ResourceSecrets)
	mark := time.Now()
	code := createCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	waitForRefusal(t, code, "exceeded quota: none")
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for n := range 3 * maxRefusedWrites {
		patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"test/event":"%d"}}}`, n))
		if err := shared.Client().Patch(t.Context(), code, patch); err != nil {
			t.Fatal(err)
		}
		<-pace.C
	}
	checkFewWrites(t, fleet, mark)
}

// These refusals occurred in practice, with a quota instead of a policy.
func TestAQuotaBacksOffSaysWhyAndGoesOn(t *testing.T) {
	t.Parallel()
	t.Run("on the Secrets of codes", func(t *testing.T) {
		t.Parallel()
		fleet := shared.Namespace(t)
		quota, mark := newQuota(t, fleet, corev1.ResourceSecrets), time.Now()
		code := createCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
		waitForRefusal(t, code, "exceeded quota: none")
		ready := meta.FindStatusCondition(code.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Reason != v1alpha1.ReasonSecretsPending || !strings.Contains(ready.Message, "exceeded quota: none") {
			t.Errorf("Ready is %+v", ready)
		}
		waitForWarning(t, code, v1alpha1.ReasonWriteRefused, "exceeded quota: none")
		checkFewWrites(t, fleet, mark)
		deleteQuota(t, quota)
		codeBecomesActive(t, code)
		waitForRecovery(t, code)
	})
	t.Run("on the Nodes of approved requests", func(t *testing.T) {
		t.Parallel()
		fleet := shared.Namespace(t)
		quota := newQuota(t, fleet, "count/nodes.mooring.dev")
		m := newPendingMachine(t, newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}), "box")
		mark := time.Now()
		m.decide(t, `{"verdict":"Approved"}`)
		waitForRefusal(t, m.request, "exceeded quota: none")
		m.checkCondition(t, v1alpha1.ConditionApproved, metav1.ConditionUnknown, v1alpha1.ReasonWriteRefused, "the decision is recorded and not carried out yet")
		checkFewWrites(t, fleet, mark)
		deleteQuota(t, quota)
		m.awaitPhase(t, v1alpha1.PairingRequestApproved)
		waitForRecovery(t, m.request)
	})
}

func newQuota(t *testing.T, fleet string, counted corev1.ResourceName) *corev1.ResourceQuota {
	t.Helper()
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: fleet, Name: "none"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{counted: resource.MustParse("0")}}}
	if err := shared.Client().Create(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	return waitForObject(t, "the quota counts", quota, func(q *corev1.ResourceQuota) error {
		if len(q.Status.Used) == 0 {
			return errors.New("no usage")
		}
		return nil
	})
}

func deleteQuota(t *testing.T, quota *corev1.ResourceQuota) {
	t.Helper()
	if err := shared.Client().Delete(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
}

// exemptWrites lists the rights of the controller that need no row, with the reason.
var exemptWrites = map[string]string{
	"events create": "a lost Event delays nothing", "events patch": "likewise",
	"tokenreviews create":            "stores nothing",
	"subjectaccessreviews create":    "stores nothing",
	"serviceaccounts impersonate":    "no write",
	"pairingcodes/finalizers update": "a right for blockOwnerDeletion, not a request",
	"nodes rekey":                    "a right that a policy checks",
	"pairingrequests approve":        "likewise",
	"leases create":                  "leader election and the proof of the policies, which have their own intervals",
	"leases update":                  "likewise",
}

// A new right to write needs a row, or a reason for the lack of one.
func TestEveryWriteOfTheControllerHasARow(t *testing.T) {
	operations := map[string]admissionregistrationv1.OperationType{"create": admissionregistrationv1.Create, "update": admissionregistrationv1.Update, "patch": admissionregistrationv1.Update, "delete": admissionregistrationv1.Delete}
	tested := map[string]bool{}
	for _, rows := range []map[string]refusedWrite{refusedWrites, trustWrites} {
		for _, row := range rows {
			tested[row.namespace+" "+row.resource+" "+string(row.operation)] = true
		}
	}
	for namespace, rules := range controllerRules(t) {
		for _, rule := range rules {
			for _, of := range rule.Resources {
				for _, verb := range rule.Verbs {
					if verb == "get" || verb == "list" || verb == "watch" || exemptWrites[of+" "+verb] != "" {
						continue
					}
					if operation, known := operations[verb]; !known || !tested[namespace+" "+of+" "+string(operation)] {
						t.Errorf("the controller may %s %s in namespace %q: add a row to refusedWrites", verb, of, namespace)
					}
				}
			}
		}
	}
}

// controllerRules returns the RBAC rules of the controller by namespace; "" means every namespace.
func controllerRules(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	rules := map[string][]rbacv1.PolicyRule{
		"": get(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ControllerServiceAccount}}).Rules,
	}
	for _, namespace := range []string{v1alpha1.SystemNamespace, v1alpha1.PairingNamespace} {
		rules[namespace] = get(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.ControllerServiceAccount}}).Rules
	}
	return rules
}
