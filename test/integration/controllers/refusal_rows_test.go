package controllers_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func startCode(t *testing.T, fleet string, refuse func()) client.Object {
	refuse()
	return createCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
}

func startHalfMadeCode(t *testing.T, fleet string, refuse func()) client.Object {
	code := newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	refuse()
	clearPhase(t, code)
	return code
}

func startDeletedCode(t *testing.T, fleet string, refuse func()) client.Object {
	code := newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	managerWrites.assign(recordOf(code).Name, fleet)
	refuse()
	deleteObject(t, code)
	return code
}

// startOldCode dates the end of a code back by two days.
func startOldCode(t *testing.T, fleet string, refuse func()) client.Object {
	code := newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	refuse()
	patient.Succeeds(t, "the code is dated back", func(ctx context.Context) error {
		get(t, code)
		code.Status.Phase = v1alpha1.PairingCodeExpired
		ready := meta.FindStatusCondition(code.Status.Conditions, v1alpha1.ConditionReady)
		ready.Status, ready.LastTransitionTime = metav1.ConditionFalse, metav1.NewTime(time.Now().Add(-48*time.Hour))
		return shared.Client().Status().Update(ctx, code)
	})
	return code
}

func startAutoApproval(t *testing.T, fleet string, refuse func()) client.Object {
	code := newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodQR, AutoApprove: true})
	m := newMachine(t, code, "box")
	refuse()
	m.send(t, code)
	return m.request
}

func startRequest(t *testing.T, fleet string, refuse func()) client.Object {
	code := newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN})
	m := newMachine(t, code, "box")
	refuse()
	m.send(t, code)
	return m.request
}

// startOldRequest dates the end of a request back by two days.
func startOldRequest(t *testing.T, fleet string, refuse func()) client.Object {
	m := newPendingMachine(t, newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}), "box")
	m.decide(t, `{"verdict":"Denied","reason":"a test"}`)
	m.awaitPhase(t, v1alpha1.PairingRequestDenied)
	refuse()
	patient.Succeeds(t, "the request is dated back", func(ctx context.Context) error {
		request := get(t, m.request)
		completed := meta.FindStatusCondition(request.Status.Conditions, v1alpha1.ConditionCompleted)
		completed.LastTransitionTime = metav1.NewTime(time.Now().Add(-48 * time.Hour))
		return shared.Client().Status().Update(ctx, request)
	})
	return m.request
}

func startApproval(t *testing.T, fleet string, refuse func()) client.Object {
	m := newPendingMachine(t, newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}), "box")
	refuse()
	m.decide(t, `{"verdict":"Approved"}`)
	return m.request
}

func startTakeover(t *testing.T, fleet string, refuse func()) client.Object {
	newApprovedMachine(t, fleet, "box")
	m := newPendingMachine(t, newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN, NodeName: "box", ReplaceNode: true}), "box")
	refuse()
	m.decide(t, `{"verdict":"Approved"}`)
	return m.request
}

func startAbandonedRequest(t *testing.T, fleet string, refuse func()) client.Object {
	m := newApprovedMachine(t, fleet, "box")
	refuse()
	m.backdateApproval(t, 25*time.Hour)
	return m.request
}

func startDeletedNode(t *testing.T, fleet string, refuse func()) client.Object {
	m := newApprovedMachine(t, fleet, "box")
	node := get(t, m.node())
	refuse()
	deleteObject(t, node)
	return node
}

func startNode(t *testing.T, fleet string, refuse func()) client.Object {
	m := newPendingMachine(t, newCode(t, fleet, v1alpha1.PairingCodeSpec{Method: v1alpha1.PairingMethodPIN}), "box")
	refuse()
	m.decide(t, `{"verdict":"Approved"}`)
	m.awaitPhase(t, v1alpha1.PairingRequestApproved)
	return get(t, m.node())
}

// startDeadGateway records a session of a gateway whose Lease expired long ago.
func startDeadGateway(t *testing.T, fleet string, refuse func()) client.Object {
	m := newApprovedMachine(t, fleet, "box")
	nodeIsDescribed(t, get(t, m.node()))
	refuse()
	now := time.Now().UTC().Format(time.RFC3339)
	session := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"namespace": fleet, "name": "box"},
		"status": map[string]any{
			"presence": "Online", "gateway": fleet, "sessionID": "s", "sessionStartedTime": now,
			"conditions": []any{map[string]any{"type": "Connected", "status": "True", "reason": "SessionStarted", "message": "", "lastTransitionTime": now}},
		},
	}}
	session.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("Node"))
	err := gatewayClient(t).Status().Apply(t.Context(), client.ApplyConfigurationFromUnstructured(session), client.FieldOwner(v1alpha1.FieldManagerSession), client.ForceOwnership)
	if err != nil {
		t.Fatal(err)
	}
	gatewayLease(t, fleet) // without a session, the controller would delete it at once
	return get(t, m.node())
}

func startDeadLease(t *testing.T, fleet string, refuse func()) client.Object {
	refuse()
	return gatewayLease(t, fleet)
}

// gatewayLease creates the Lease of a gateway with the fleet's name that died an hour ago.
func gatewayLease(t *testing.T, fleet string) *coordinationv1.Lease {
	t.Helper()
	renewed := metav1.NewMicroTime(time.Now().Add(-time.Hour))
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.GatewayLeasePrefix + fleet,
			Labels: map[string]string{v1alpha1.LabelComponent: v1alpha1.LabelComponentGateway},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &fleet, LeaseDurationSeconds: ptr.To[int32](2), RenewTime: &renewed},
	}
	if err := shared.Client().Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	return lease
}

func startCertificate(t *testing.T, fleet string, refuse func()) client.Object {
	m := newApprovedMachine(t, fleet, "box")
	csr := m.csr(t)
	sum := sha256.Sum256(csr)
	managerWrites.assign("box-"+hex.EncodeToString(sum[:])[:20], fleet)
	refuse()
	m.requestCertificate(t, v1alpha1.NodeCertificateRequest{Request: csr, Purpose: v1alpha1.CertificateInitial})
	return get(t, m.node())
}

func startCancelledDispatch(t *testing.T, fleet string, refuse func()) client.Object {
	newApprovedMachine(t, fleet, "box")
	refuse()
	return cancelledDispatch(t, fleet)
}

func startOldDispatch(t *testing.T, fleet string, refuse func()) client.Object {
	newApprovedMachine(t, fleet, "box")
	refuse()
	return cancelledDispatch(t, fleet)
}

// cancelledDispatch creates a dispatch for a Node that never had a session. It is deleted once
// finished.
func cancelledDispatch(t *testing.T, fleet string) *v1alpha1.CapabilityDispatch {
	t.Helper()
	d := &v1alpha1.CapabilityDispatch{ObjectMeta: metav1.ObjectMeta{Namespace: fleet, Name: "one"}, Spec: v1alpha1.CapabilityDispatchSpec{
		NodeName: "box", Capability: "echo", ExpirySeconds: 600, TimeoutSeconds: 1, TTLSecondsAfterFinished: ptr.To[int32](0)}}
	if err := shared.Client().Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	cancel := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
	if err := shared.Client().Patch(t.Context(), d, cancel); err != nil {
		t.Fatal(err)
	}
	return d
}

func startDeletedTrust(t *testing.T, fleet string, refuse func()) client.Object {
	trustBundle(t, v1alpha1.TrustServerCAKey)
	managerWrites.assign(v1alpha1.TrustConfigMap, fleet)
	managerWrites.assign("configmaps", fleet) // the URL of its creation ends with this
	refuse()
	deleteObject(t, trustMap())
	return trustMap()
}

func startSpoiltTrust(t *testing.T, fleet string, refuse func()) client.Object {
	trustBundle(t, v1alpha1.TrustServerCAKey)
	managerWrites.assign(v1alpha1.TrustConfigMap, fleet)
	refuse()
	spoilt := get(t, trustMap())
	delete(spoilt.Data, v1alpha1.TrustDeviceCAKey)
	if err := shared.Client().Update(t.Context(), spoilt); err != nil {
		t.Fatal(err)
	}
	return trustMap()
}

func deleteObject(t *testing.T, object client.Object) {
	t.Helper()
	if err := shared.Client().Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}

func codeBecomesActive(t *testing.T, shown client.Object) {
	waitForObject(t, "the code is active", shown.(*v1alpha1.PairingCode), inPhase(v1alpha1.PairingCodeActive))
}

func requestBecomesPending(t *testing.T, shown client.Object) {
	machine{request: shown.(*v1alpha1.PairingRequest)}.awaitPhase(t, v1alpha1.PairingRequestPending)
}

func requestBecomesApproved(t *testing.T, shown client.Object) {
	machine{request: shown.(*v1alpha1.PairingRequest)}.awaitPhase(t, v1alpha1.PairingRequestApproved)
}

func requestBecomesFailed(t *testing.T, shown client.Object) {
	machine{request: shown.(*v1alpha1.PairingRequest)}.awaitPhase(t, v1alpha1.PairingRequestFailed)
}

func waitForObjectDeletion(t *testing.T, shown client.Object) {
	waitForDeletion(t, "the object goes", shown)
}

func nodeIsDescribed(t *testing.T, shown client.Object) {
	waitForObject(t, "the Node is described", shown.(*v1alpha1.Node), func(node *v1alpha1.Node) error {
		if node.Status.FingerprintShort == "" {
			return errors.New("no fingerprint")
		}
		return nil
	})
}

func sessionEnds(t *testing.T, shown client.Object) {
	waitForObject(t, "the session ends", shown.(*v1alpha1.Node), func(node *v1alpha1.Node) error {
		if node.Status.SessionEndedTime == nil {
			return fmt.Errorf("status is %+v", node.Status)
		}
		return nil
	})
}

func certificateIsIssued(t *testing.T, shown client.Object) {
	waitForObject(t, "the certificate is issued", shown.(*v1alpha1.Node), func(node *v1alpha1.Node) error {
		if node.Status.Issued == nil || node.Status.Issued.Chain == "" {
			return fmt.Errorf("conditions are %+v", node.Status.Conditions)
		}
		return nil
	})
	waitForNoRequests(t, shown.GetNamespace())
}

func dispatchIsCancelled(t *testing.T, shown client.Object) {
	waitForDeletion(t, "the dispatch is cancelled, and deleted as it asks", shown)
}

func trustIsComplete(t *testing.T, _ client.Object) {
	trustBundle(t, v1alpha1.TrustServerCAKey)
	trustBundle(t, v1alpha1.TrustDeviceCAKey)
}
