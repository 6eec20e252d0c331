package api_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func stampOf(t *testing.T, o *unstructured.Unstructured, fields ...string) string {
	t.Helper()
	stamp, _, _ := unstructured.NestedString(getLive(t, o).Object, append([]string{"spec"}, fields...)...)
	return stamp
}

func TestADispatchIsStampedWithItsAuthor(t *testing.T) {
	namespace := shared.Namespace(t)
	ivo := mayInvoke(t, namespace, "ivo", "echo")
	tia := mayInvoke(t, namespace, "tia", "system.health") // may not invoke echo, may cancel it
	policy := v1alpha1.PolicyMessage(v1alpha1.PolicyDispatches)

	forged := newObject("CapabilityDispatch", namespace, "forged", dispatchSpec(map[string]any{"requestedBy": "ann"}))
	wantRefused(t, ivo.Create(t.Context(), forged), policy+`spec.requestedBy says "ann" but the request was made by "ivo"`)
	o := newObject("CapabilityDispatch", namespace, "own", dispatchSpec(map[string]any{"requestedBy": "ivo"}))
	wantAccepted(t, ivo.Create(t.Context(), o))
	for _, value := range []any{nil, ""} {
		o = newObject("CapabilityDispatch", namespace, "stamped", dispatchSpec(nil))
		if value != nil {
			o = newObject("CapabilityDispatch", namespace, "stamped-empty", dispatchSpec(map[string]any{"requestedBy": value}))
		}
		wantAccepted(t, ivo.Create(t.Context(), o))
		if got := stampOf(t, o, "requestedBy"); got != "ivo" {
			t.Errorf("requestedBy is %q, want ivo", got)
		}
	}

	wantAccepted(t, patch(t, tia, o, `{"metadata":{"labels":{"a":"b"}},"spec":{"cancel":true}}`))
	put := getLive(t, o)
	unstructured.RemoveNestedField(put.Object, "spec", "requestedBy")
	wantAccepted(t, tia.Update(t.Context(), put))
	wantRefused(t, patch(t, tia, o, `{"spec":{"requestedBy":"tia"}}`), "requestedBy is immutable")
	if got := stampOf(t, o, "requestedBy"); got != "ivo" {
		t.Errorf("after others changed the dispatch requestedBy is %q, want ivo", got)
	}
}

func TestADispatchIsStampedWithTheGroupsAndUIDOfItsAuthor(t *testing.T) {
	namespace := shared.Namespace(t)
	mayInvoke(t, namespace, "ivo", "echo")
	config := shared.UserConfig("ivo", "crew", "system:authenticated")
	config.Impersonate.UID = "uid-of-ivo"
	ivo := shared.ClientFor(t, config)
	tia := mayInvoke(t, namespace, "tia", "system.health")
	policy := v1alpha1.PolicyMessage(v1alpha1.PolicyDispatches)
	for field, value := range map[string]any{"requestedByGroups": []any{"system:masters"}, "requestedByUID": "uid-of-ann"} {
		forged := newObject("CapabilityDispatch", namespace, "forged", dispatchSpec(map[string]any{field: value}))
		wantRefused(t, ivo.Create(t.Context(), forged), policy+"spec."+field)
	}
	o := newObject("CapabilityDispatch", namespace, "stamped", dispatchSpec(map[string]any{"requestedByGroups": []any{}}))
	wantAccepted(t, ivo.Create(t.Context(), o))
	check := func() {
		t.Helper()
		groups, _, _ := unstructured.NestedStringSlice(getLive(t, o).Object, "spec", "requestedByGroups")
		if uid := stampOf(t, o, "requestedByUID"); uid != "uid-of-ivo" || len(groups) != 2 || groups[0] != "crew" || groups[1] != "system:authenticated" {
			t.Errorf("stamped with groups %v and UID %q", groups, uid)
		}
	}
	check()
	put := getLive(t, o)
	unstructured.RemoveNestedField(put.Object, "spec", "requestedByGroups")
	unstructured.RemoveNestedField(put.Object, "spec", "requestedByUID")
	wantAccepted(t, tia.Update(t.Context(), put))
	check()
	wantRefused(t, patch(t, tia, o, `{"spec":{"requestedByGroups":["x"]}}`), "requestedByGroups is immutable")
	wantRefused(t, patch(t, tia, o, `{"spec":{"requestedByUID":"x"}}`), "requestedByUID is immutable")
	check()
}

func TestACodeIsStampedWithItsIssuer(t *testing.T) {
	namespace := shared.Namespace(t)
	ida := issuer(t, namespace, "ida")
	plain := map[string]any{"method": "PIN"}
	o := newObject("PairingCode", namespace, "stamped", plain)
	wantAccepted(t, ida.Create(t.Context(), o))
	if got := stampOf(t, o, "issuedBy"); got != "ida" {
		t.Errorf("issuedBy is %q, want ida", got)
	}
	forged := newObject("PairingCode", namespace, "forged", map[string]any{"method": "PIN", "issuedBy": "ann"})
	wantRefused(t, ida.Create(t.Context(), forged),
		v1alpha1.PolicyMessage(v1alpha1.PolicyPairingCodes)+`spec.issuedBy says "ann" but the request was made by "ida"`)
}

func TestADecisionIsStampedWithItsApprover(t *testing.T) {
	namespace := shared.Namespace(t)
	ann := approver(t, namespace, "ann")
	bob := approver(t, namespace, "bob")
	o := newObject("PairingRequest", namespace, "stamped", requestSpec(nil))
	mustCreate(t, o)

	wantRefused(t, patch(t, ann, o, `{"spec":{"decision":{"verdict":"Approved","by":"bob"}}}`),
		v1alpha1.PolicyMessage(v1alpha1.PolicyPairingRequests)+`spec.decision.by is not "ann"`)
	wantAccepted(t, patch(t, ann, o, `{"spec":{"decision":{"verdict":"Approved"}}}`))
	if got := stampOf(t, o, "decision", "by"); got != "ann" {
		t.Errorf("decision.by is %q, want ann", got)
	}
	for name, c := range map[string]client.Client{"ann": ann, "bob": bob, "admin": shared.Client()} {
		wantRefused(t, patch(t, c, o, `{"spec":{"decision":{"by":"`+name+`x"}}}`), "the decision is final")
		wantAccepted(t, patch(t, c, o, `{"spec":{"decision":{"by":null}}}`)) // admission restores it
		wantRefused(t, patch(t, c, o, `{"spec":{"decision":null}}`), "the decision is final")
		wantRefused(t, patch(t, c, o, `{"spec":{"decision":{"verdict":"Denied"}}}`), "the decision is final")
	}
	put := getLive(t, o)
	unstructured.RemoveNestedField(put.Object, "spec", "decision", "by")
	wantAccepted(t, bob.Update(t.Context(), put))
	if got := stampOf(t, o, "decision", "by"); got != "ann" {
		t.Errorf("after changes by others decision.by is %q, want ann", got)
	}
}
