package api_test

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// serviceAccountClient returns a client with the real token of a Mooring ServiceAccount.
func serviceAccountClient(t *testing.T, name string) client.Client {
	t.Helper()
	config, err := shared.ServiceAccountConfig(t.Context(), v1alpha1.SystemNamespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return shared.ClientFor(t, config)
}

func secret(namespace, name, kind string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       corev1.SecretType(kind), StringData: data,
	}
}

// These are the requests that a stolen gateway could try.
func TestAGatewayIsRefusedWhatIsNotItsOwn(t *testing.T) {
	namespace := shared.Namespace(t)
	gateway := serviceAccountClient(t, v1alpha1.GatewayServiceAccount)
	node := newObject("Node", namespace, "bench-3", nodeSpec(nil))
	request := newObject("PairingRequest", namespace, "one", requestSpec(nil))
	dispatch := newObject("CapabilityDispatch", namespace, "one", dispatchSpec(nil))
	code := newObject("PairingCode", namespace, "one", codeSpec(nil))
	people := secret(namespace, "people", v1alpha1.SecretTypePairingCode, nil)
	for _, o := range []client.Object{node, request, dispatch, code, people} {
		mustCreate(t, o)
	}
	ctx := t.Context()
	proof := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.PolicyProofLease}}
	trust := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.TrustConfigMap}}
	for _, try := range []struct {
		name    string
		err     error
		message string
	}{
		{"approve a request", patch(t, gateway, request, `{"spec":{"decision":{"verdict":"Approved"}}}`), forbidden},
		{"set the phase of a request", patchStatus(t, gateway, request, `{"status":{"phase":"Approved"}}`), forbidden},
		{"delete a request", gateway.Delete(ctx, request), forbidden},
		{"create a request that is decided", gateway.Create(ctx, newObject("PairingRequest", namespace, "decided",
			requestSpec(map[string]any{"decision": map[string]any{"verdict": "Approved"}}))),
			v1alpha1.PolicyMessage(v1alpha1.PolicyPairingRequests) + "a request cannot be created with a decision"},
		{"create a Node", gateway.Create(ctx, newObject("Node", namespace, "made", nodeSpec(nil))), forbidden},
		{"move a pin", patch(t, gateway, node, `{"spec":{"publicKeySHA256":"`+keyB+`"}}`), forbidden},
		{"delete a Node", gateway.Delete(ctx, node), forbidden},
		{"vouch for a certificate", patchStatus(t, gateway, node, `{"status":{"issued":{"requestSHA256":"`+keyA+`","chain":"PEM"}}}`),
			v1alpha1.PolicyMessage(v1alpha1.PolicyNodeStatus)},
		{"rewrite the history", patchStatus(t, gateway, node, `{"status":{"certificateHistory":[{"fingerprintSHA256":"`+keyA+`"}]}}`),
			v1alpha1.PolicyMessage(v1alpha1.PolicyNodeStatus)},
		{"call a Node trusted", patchStatus(t, gateway, node, `{"status":{"trust":"Trusted"}}`), v1alpha1.PolicyMessage(v1alpha1.PolicyNodeStatus)},
		{"issue a code", gateway.Create(ctx, newObject("PairingCode", namespace, "made", codeSpec(nil))), forbidden},
		{"revive a code", patchStatus(t, gateway, code, `{"status":{"phase":"Active"}}`), forbidden},
		{"dispatch", gateway.Create(ctx, newObject("CapabilityDispatch", namespace, "made", dispatchSpec(nil))), forbidden},
		{"cancel a dispatch", patch(t, gateway, dispatch, `{"spec":{"cancel":true}}`), forbidden},
		{"read a code for people", gateway.Get(ctx, client.ObjectKeyFromObject(people), &corev1.Secret{}), forbidden},
		{"list the Secrets of the system", gateway.List(ctx, &corev1.SecretList{}, client.InNamespace(v1alpha1.SystemNamespace)), forbidden},
		{"make a Secret in a fleet", gateway.Create(ctx, secret(namespace, "made", v1alpha1.SecretTypePairingCode, nil)), forbidden},
		{"make a password record", gateway.Create(ctx, secret(v1alpha1.PairingNamespace, "made", v1alpha1.SecretTypePairingRecord, nil)),
			v1alpha1.PolicyMessage(v1alpha1.PolicyGatewaySecrets) + "a gateway may only create Secrets of type"},
		{"prove the policies", gateway.Create(ctx, proof), v1alpha1.PolicyMessage(v1alpha1.PolicyGatewayLeases)},
		{"change the trust", gateway.Create(ctx, trust), forbidden},
		{"ask cert-manager", gateway.Create(ctx, certificateRequest()), forbidden},
	} {
		t.Run(try.name, func(t *testing.T) { wantRefused(t, try.err, try.message) })
	}
}

func certificateRequest() *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "CertificateRequest"})
	o.SetNamespace(v1alpha1.SystemNamespace)
	o.SetName("made")
	return o
}

// These are the requests that a gateway needs.
func TestAGatewayMayDoItsWork(t *testing.T) {
	ctx, namespace := t.Context(), shared.Namespace(t)
	gateway := serviceAccountClient(t, v1alpha1.GatewayServiceAccount)
	node := newObject("Node", namespace, "bench-3", nodeSpec(nil))
	dispatch := newObject("CapabilityDispatch", namespace, "one", dispatchSpec(nil))
	mustCreate(t, node)
	mustCreate(t, dispatch)
	wantAccepted(t, gateway.Create(ctx, newObject("PairingRequest", namespace, "one", requestSpec(nil))))
	wantAccepted(t, patchStatus(t, gateway, node, `{"status":{"presence":"Online","gateway":"g-1","capabilities":[{"name":"echo","available":true}]}}`))
	dispatch.Object["status"] = map[string]any{"phase": "Succeeded", "execution": "Finished", "output": map[string]any{"a": int64(1)}}
	wantAccepted(t, gateway.Status().Update(ctx, dispatch))
	wantAccepted(t, gateway.List(ctx, &v1alpha1.NodeList{}))
	wantAccepted(t, gateway.List(ctx, &v1alpha1.CapabilityDispatchList{}))

	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.GatewayLeasePrefix + namespace}}
	wantAccepted(t, gateway.Create(ctx, lease))
	wantAccepted(t, gateway.Update(ctx, lease))
	wantAccepted(t, gateway.Delete(ctx, lease))

	token := secret(v1alpha1.PairingNamespace, "token-"+namespace, v1alpha1.SecretTypeServiceAccountToken, map[string]string{v1alpha1.TokenKey: "t"})
	wantAccepted(t, gateway.Create(ctx, token))
	wantAccepted(t, shared.Client().Delete(ctx, token))
}

func TestAGatewayCountsTriesAndChangesNothingElseOfARecord(t *testing.T) {
	ctx := t.Context()
	gateway := serviceAccountClient(t, v1alpha1.GatewayServiceAccount)
	record := secret(v1alpha1.PairingNamespace, "record-"+shared.Namespace(t), v1alpha1.SecretTypePairingRecord, map[string]string{
		v1alpha1.RecordKeyScalar: "w", v1alpha1.RecordKeyNamespace: "a", v1alpha1.RecordKeyCodeName: "code",
		v1alpha1.RecordKeyCodeUID: "uid", v1alpha1.RecordKeyMethod: "PIN", v1alpha1.RecordKeyTriesUsed: "0",
		v1alpha1.RecordKeyExpires: "2030-01-01T00:00:00Z",
	})
	mustCreate(t, record)
	defer func() { _ = shared.Client().Delete(ctx, record) }()
	wantAccepted(t, gateway.Get(ctx, client.ObjectKeyFromObject(record), record))
	record.Data[v1alpha1.RecordKeyTriesUsed] = []byte("1")
	record.Data[v1alpha1.RecordKeyConsumedBy] = []byte(keyA)
	record.Data[v1alpha1.RecordKeyRequestName] = []byte("bench-3")
	wantAccepted(t, gateway.Update(ctx, record))
	for _, key := range []string{
		v1alpha1.RecordKeyScalar, v1alpha1.RecordKeyNamespace, v1alpha1.RecordKeyCodeName,
		v1alpha1.RecordKeyCodeUID, v1alpha1.RecordKeyMethod, v1alpha1.RecordKeyExpires,
	} {
		changed, removed := record.DeepCopy(), record.DeepCopy()
		changed.Data[key] = []byte("forged")
		delete(removed.Data, key)
		wantRefused(t, gateway.Update(ctx, changed), v1alpha1.PolicyMessage(v1alpha1.PolicyGatewaySecrets))
		wantRefused(t, gateway.Update(ctx, removed), v1alpha1.PolicyMessage(v1alpha1.PolicyGatewaySecrets))
	}
	wantRefused(t, gateway.Delete(ctx, record), forbidden)
}

func TestAGatewayCannotRebindAUsedRecordNorHoldItBack(t *testing.T) {
	ctx := t.Context()
	gateway := serviceAccountClient(t, v1alpha1.GatewayServiceAccount)
	final := v1alpha1.PolicyMessage(v1alpha1.PolicyGatewaySecrets) + "consumedBy and requestName of a pairing record are final"
	for name, unused := range map[string]map[string]string{
		"absent": {v1alpha1.RecordKeyTriesUsed: "1"},
		"empty":  {v1alpha1.RecordKeyTriesUsed: "1", v1alpha1.RecordKeyConsumedBy: "", v1alpha1.RecordKeyRequestName: ""},
	} {
		t.Run(name, func(t *testing.T) {
			record := secret(v1alpha1.PairingNamespace, "record-"+shared.Namespace(t), v1alpha1.SecretTypePairingRecord, unused)
			mustCreate(t, record)
			defer func() { _ = shared.Client().Delete(ctx, record) }()
			wantAccepted(t, gateway.Get(ctx, client.ObjectKeyFromObject(record), record))
			record.Data[v1alpha1.RecordKeyTriesUsed] = []byte("0")
			record.Data[v1alpha1.RecordKeyConsumedBy] = []byte(keyA)
			record.Data[v1alpha1.RecordKeyRequestName] = []byte("bench-3")
			wantAccepted(t, gateway.Update(ctx, record))
			record.Data[v1alpha1.RecordKeyTriesUsed] = []byte("1") // a retry of the same key
			wantAccepted(t, gateway.Update(ctx, record))
			for _, key := range []string{v1alpha1.RecordKeyConsumedBy, v1alpha1.RecordKeyRequestName} {
				changed, emptied, removed := record.DeepCopy(), record.DeepCopy(), record.DeepCopy()
				changed.Data[key], emptied.Data[key] = []byte(keyB), nil
				delete(removed.Data, key)
				wantRefused(t, gateway.Update(ctx, changed), final)
				wantRefused(t, gateway.Update(ctx, emptied), final)
				wantRefused(t, gateway.Update(ctx, removed), final)
			}
			held := record.DeepCopy()
			held.Finalizers = []string{"example.com/held"}
			wantRefused(t, gateway.Update(ctx, held), v1alpha1.PolicyMessage(v1alpha1.PolicyGatewaySecrets)+"a gateway may not change the finalizers")
		})
	}
}

func TestTheControllerMakesCodesForPeopleAndReadsNoSecrets(t *testing.T) {
	ctx, namespace := t.Context(), shared.Namespace(t)
	controller := serviceAccountClient(t, v1alpha1.ControllerServiceAccount)
	policy := v1alpha1.PolicyMessage(v1alpha1.PolicyControllerSecrets)
	people := secret(namespace, "people", v1alpha1.SecretTypePairingCode, map[string]string{v1alpha1.SecretKeyCode: "K7QX2M-000000"})
	opaque := secret(namespace, "opaque", "Opaque", nil)
	mustCreate(t, opaque)

	wantRefused(t, controller.Create(ctx, secret(namespace, "other", "Opaque", nil)), policy)
	wantRefused(t, controller.Create(ctx, secret(v1alpha1.SystemNamespace, "other", "Opaque", nil)), policy)
	wantRefused(t, controller.Delete(ctx, opaque), policy)
	wantRefused(t, controller.Get(ctx, client.ObjectKeyFromObject(opaque), &corev1.Secret{}), forbidden)
	wantRefused(t, controller.List(ctx, &corev1.SecretList{}), forbidden)
	wantRefused(t, controller.List(ctx, &corev1.SecretList{}, client.InNamespace(v1alpha1.SystemNamespace)), forbidden)
	wantAccepted(t, controller.Create(ctx, people))
	wantRefused(t, controller.Get(ctx, client.ObjectKeyFromObject(people), &corev1.Secret{}), forbidden)
	wantAccepted(t, controller.Delete(ctx, people))

	record := secret(v1alpha1.PairingNamespace, "record-"+namespace, v1alpha1.SecretTypePairingRecord, nil)
	wantAccepted(t, controller.Create(ctx, record))
	wantAccepted(t, controller.Get(ctx, client.ObjectKeyFromObject(record), record))
	wantAccepted(t, controller.Delete(ctx, record))
}

func TestTheControllerDecidesMakesNodesAndNothingForPeople(t *testing.T) {
	ctx, namespace := t.Context(), shared.Namespace(t)
	controller := serviceAccountClient(t, v1alpha1.ControllerServiceAccount)
	request := newObject("PairingRequest", namespace, "one", requestSpec(nil))
	mustCreate(t, request)
	wantAccepted(t, patch(t, controller, request, `{"spec":{"decision":{"verdict":"Approved","reason":"code one of ida"}}}`))
	if got, want := stampOf(t, request, "decision", "by"), "system:serviceaccount:mooring-system:mooring-controller"; got != want {
		t.Errorf("decision.by is %q, want %q", got, want)
	}
	node := newObject("Node", namespace, "bench-3", nodeSpec(nil))
	wantAccepted(t, controller.Create(ctx, node))
	wantAccepted(t, patch(t, controller, node, `{"metadata":{"finalizers":["mooring.dev/node"]},"spec":{"publicKeySHA256":"`+keyB+`"}}`))
	wantAccepted(t, patchStatus(t, controller, node, `{"status":{"trust":"Trusted","issued":{"requestSHA256":"`+keyA+`","chain":"PEM"}}}`))
	wantAccepted(t, patch(t, controller, node, `{"metadata":{"finalizers":null}}`))
	wantRefused(t, controller.Create(ctx, newObject("CapabilityDispatch", namespace, "made", dispatchSpec(nil))), forbidden)
	wantRefused(t, controller.Create(ctx, newObject("PairingCode", namespace, "made", codeSpec(nil))), forbidden)
	wantRefused(t, controller.List(ctx, &corev1.ConfigMapList{}), forbidden)

	probe := shared.UserConfig("x").Impersonate
	probe.UserName = "system:serviceaccount:mooring-system:" + v1alpha1.ProbeServiceAccount
	config, err := shared.ServiceAccountConfig(ctx, v1alpha1.SystemNamespace, v1alpha1.ControllerServiceAccount)
	wantAccepted(t, err)
	config.Impersonate = probe
	asProbe := shared.ClientFor(t, config)
	dispatch := newObject("CapabilityDispatch", v1alpha1.SystemNamespace, "probe", dispatchSpec(map[string]any{"capability": v1alpha1.ProbeCapability}))
	wantAccepted(t, asProbe.Create(ctx, dispatch, client.DryRunAll))
	config.Impersonate.UserName = "system:serviceaccount:mooring-system:mooring-gateway"
	wantRefused(t, shared.ClientFor(t, config).List(ctx, &v1alpha1.NodeList{}), "cannot impersonate")
}
