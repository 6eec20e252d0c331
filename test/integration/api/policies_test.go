package api_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

const forbidden = "forbidden"

func TestARoleSaysWhichCapabilitiesAUserMayDispatch(t *testing.T) {
	namespace, elsewhere := shared.Namespace(t), shared.Namespace(t)
	ivo := mayInvoke(t, namespace, "ivo", "echo", "system.*", "desktop.open_url")
	mayInvoke(t, elsewhere, "ivo", "nothing")
	all := mayInvoke(t, namespace, "zoe") // no names: every capability
	for _, try := range []struct {
		namespace, capability string
		allowed               bool
	}{
		{namespace, "echo", true},
		{namespace, "system.health", true},
		{namespace, "system.disk.usage", true},
		{namespace, "desktop.open_url", true},
		{namespace, "system", false}, // not covered by system.*, as in the grant of a Node
		{namespace, "systemd.restart", false},
		{namespace, "desktop.lock", false},
		{namespace, "echo.loud", false},
		{elsewhere, "echo", false},
	} {
		t.Run(try.capability+" in "+try.namespace, func(t *testing.T) {
			o := newObject("CapabilityDispatch", try.namespace, "try", dispatchSpec(map[string]any{"capability": try.capability}))
			o.SetName("")
			o.SetGenerateName("try-")
			err := ivo.Create(t.Context(), o)
			if try.allowed {
				wantAccepted(t, err)
				return
			}
			wantRefused(t, err, v1alpha1.PolicyMessage(v1alpha1.PolicyDispatches)+`user "ivo" may not invoke capability "`+
				try.capability+`" in namespace "`+try.namespace+`": ask for a Role`)
		})
	}
	wantAccepted(t, all.Create(t.Context(), newObject("CapabilityDispatch", namespace, "any", dispatchSpec(nil))))
}

func TestOnlyHoldersOfApproveDecide(t *testing.T) {
	namespace, elsewhere := shared.Namespace(t), shared.Namespace(t)
	ann := approver(t, namespace, "ann")
	// This is patch without approve, like an ordinary edit role.
	eve := operator(t, namespace, "eve")
	allowVerbs(t, namespace, "eve", "pairingrequests", "patch", "update")
	allowVerbs(t, elsewhere, "ann", "pairingrequests", "patch", "update")
	policy := v1alpha1.PolicyMessage(v1alpha1.PolicyPairingRequests)
	const approve = `{"spec":{"decision":{"verdict":"Approved"}}}`

	o := newObject("PairingRequest", namespace, "one", requestSpec(nil))
	mustCreate(t, o)
	wantRefused(t, patch(t, eve, o, approve), policy+`user "eve" may not approve or deny in namespace "`+namespace+`"`)
	wantRefused(t, patch(t, eve, o, `{"spec":{"decision":{"verdict":"Denied"}}}`), policy)
	wantRefused(t, patch(t, eve, o, `{"spec":{"decision":{"verdict":"Approved","by":"ann"}}}`), policy)
	wantAccepted(t, patch(t, eve, o, `{"metadata":{"labels":{"seen":"yes"}}}`))
	wantRefused(t, patchStatus(t, eve, o, `{"status":{"phase":"Approved"}}`), forbidden)
	wantRefused(t, patchStatus(t, ann, o, `{"status":{"phase":"Approved"}}`), forbidden)

	// The API server drops a decision in a /status request, for every user.
	wantAccepted(t, patchStatus(t, shared.Client(), o, approve))
	if got := stampOf(t, o, "decision", "verdict"); got != "" {
		t.Errorf("a decision was stored through /status: %s", got)
	}
	preset := newObject("PairingRequest", namespace, "preset", requestSpec(map[string]any{"decision": map[string]any{"verdict": "Approved"}}))
	wantRefused(t, shared.Client().Create(t.Context(), preset), policy+"a request cannot be created with a decision")

	there := newObject("PairingRequest", elsewhere, "one", requestSpec(nil))
	mustCreate(t, there)
	wantRefused(t, patch(t, ann, there, approve), policy+`user "ann" may not approve or deny in namespace "`+elsewhere+`"`)
	wantAccepted(t, patch(t, ann, o, approve))
}

func TestCodesThatDecideNeedApprove(t *testing.T) {
	namespace := shared.Namespace(t)
	ida := issuer(t, namespace, "ida")
	both := issuer(t, namespace, "bea")
	approver(t, namespace, "bea")
	policy := v1alpha1.PolicyMessage(v1alpha1.PolicyPairingCodes) + `autoApprove and replaceNode decide about a machine and user "ida"`
	auto := map[string]any{"method": "QR", "autoApprove": true}
	replace := map[string]any{"method": "PIN", "nodeName": "bench-3", "replaceNode": true}
	neither := map[string]any{"method": "QR", "autoApprove": false, "replaceNode": false}

	wantRefused(t, ida.Create(t.Context(), newObject("PairingCode", namespace, "auto", auto)), policy)
	wantRefused(t, ida.Create(t.Context(), newObject("PairingCode", namespace, "replace", replace)), policy)
	wantAccepted(t, ida.Create(t.Context(), newObject("PairingCode", namespace, "neither", neither)))
	wantAccepted(t, both.Create(t.Context(), newObject("PairingCode", namespace, "auto", auto)))
	wantAccepted(t, both.Create(t.Context(), newObject("PairingCode", namespace, "replace", replace)))
}

func TestOnlyTheControllerMakesNodesAndMovesPins(t *testing.T) {
	namespace := shared.Namespace(t)
	ivo := operator(t, namespace, "ivo")
	allowVerbs(t, namespace, "ivo", "nodes", "create")
	policy := v1alpha1.PolicyMessage(v1alpha1.PolicyNodes)
	wantRefused(t, ivo.Create(t.Context(), newObject("Node", namespace, "made", nodeSpec(nil))), policy+`user "ivo" may not create Nodes`)

	o := newObject("Node", namespace, "bench-3", nodeSpec(map[string]any{"nextPublicKeySHA256": nil, "capabilityPolicy": nil, "desiredState": nil}))
	mustCreate(t, o)
	for _, body := range []string{
		`{"spec":{"publicKeySHA256":"` + keyB + `"}}`,
		`{"spec":{"nextPublicKeySHA256":"` + keyB + `"}}`,
		`{"spec":{"pairingRequestUID":"uid-2"}}`,
		`{"spec":{"serviceAccount":{"node":"worker-2"}}}`,
		`{"spec":{"serviceAccount":{"nodeUID":"uid-9"}}}`,
	} {
		wantRefused(t, patch(t, ivo, o, body), policy+`user "ivo" may not change publicKeySHA256`)
		wantAccepted(t, patch(t, shared.Client(), o, body))
	}
	wantRefused(t, patch(t, ivo, o, `{"spec":{"nextPublicKeySHA256":null}}`), policy+`user "ivo" may not change`)
	wantRefused(t, patch(t, ivo, o, `{"spec":{"serviceAccount":null}}`), policy+`user "ivo" may not change`)
	put := getLive(t, o)
	unstructured.RemoveNestedField(put.Object, "spec", "serviceAccount")
	wantRefused(t, ivo.Update(t.Context(), put), policy+`user "ivo" may not change`)

	const grants = `changing capabilityPolicy is an approval and user "ivo" may not approve`
	wantRefused(t, patch(t, ivo, o, `{"spec":{"capabilityPolicy":{"allow":["shell.*"]}}}`), policy+grants)
	wantRefused(t, patch(t, ivo, o, `{"spec":{"capabilityPolicy":{"deny":["echo"]}}}`), policy+grants)
	wantAccepted(t, patch(t, ivo, o, `{"spec":{"capabilityPolicy":{}}}`)) // an empty policy equals no policy
	approver(t, namespace, "ivo")
	wantAccepted(t, patch(t, ivo, o, `{"spec":{"capabilityPolicy":{"allow":["echo"]}}}`))
	wantAccepted(t, patch(t, ivo, o, `{"spec":{"capabilityPolicy":null}}`))
	wantAccepted(t, patch(t, ivo, o, `{"spec":{"desiredState":"Suspended","maxInFlight":8}}`))
	wantAccepted(t, patch(t, ivo, o, `{"spec":{"desiredState":"Revoked","revocationReason":"stolen"}}`))
	wantRefused(t, patch(t, ivo, o, `{"spec":{"desiredState":null}}`), "desiredState Revoked is final")
}

func TestViewersOnlyLook(t *testing.T) {
	namespace := shared.Namespace(t)
	vic := viewer(t, namespace, "vic")
	for kind, spec := range map[string]map[string]any{
		"Node": nodeSpec(nil), "PairingCode": codeSpec(nil), "PairingRequest": requestSpec(nil), "CapabilityDispatch": dispatchSpec(nil),
	} {
		o := newObject(kind, namespace, "seen", spec)
		mustCreate(t, o)
		if err := vic.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			t.Errorf("get %s: %v", kind, err)
		}
		wantRefused(t, vic.Create(t.Context(), newObject(kind, namespace, "made", spec)), forbidden)
		wantRefused(t, patch(t, vic, o, `{"metadata":{"labels":{"a":"b"}}}`), forbidden)
		wantRefused(t, vic.Delete(t.Context(), o), forbidden)
	}
}
