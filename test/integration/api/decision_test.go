package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/test/eventually"
)

// A rule of the kind makes a decision final. Without that rule, the policy must still check the
// user.
func TestAChangedDecisionIsADecision(t *testing.T) {
	namespace := shared.Namespace(t)
	ann := approver(t, namespace, "ann")
	eve := operator(t, namespace, "eve")
	allowVerbs(t, namespace, "eve", "pairingrequests", "patch", "update")
	o := newObject("PairingRequest", namespace, "one", requestSpec(nil))
	mustCreate(t, o)
	wantAccepted(t, patch(t, ann, o, `{"spec":{"decision":{"verdict":"Denied"}}}`))

	const change = `{"spec":{"decision":{"verdict":"Approved"}}}`
	tryChange := func() error {
		return ann.Patch(t.Context(), o.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(change)), client.DryRunAll)
	}
	defer withoutFinalDecisions(t, tryChange)()
	wantAccepted(t, patch(t, eve, o, `{"metadata":{"labels":{"seen":"yes"}}}`))
	wantRefused(t, patch(t, eve, o, change), v1alpha1.PolicyMessage(v1alpha1.PolicyPairingRequests)+`user "eve" may not approve or deny`)
}

// withoutFinalDecisions removes the rule from the kind and returns a function that restores it.
// change must be refused exactly while the rule is in force.
func withoutFinalDecisions(t *testing.T, change func() error) (restore func()) {
	t.Helper()
	kind := &unstructured.Unstructured{}
	kind.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	kind.SetName("pairingrequests.mooring.dev")
	text, err := json.Marshal(getLive(t, kind).Object["spec"].(map[string]any)["versions"])
	if err != nil {
		t.Fatal(err)
	}
	const rule = "self.decision == oldSelf.decision"
	relaxed := strings.Replace(string(text), rule, "has(self.decision)", 1)
	if relaxed == string(text) {
		t.Fatal("the kind has no such rule: nothing to take out")
	}
	put := func(versions string, inForce bool) {
		wantAccepted(t, patch(t, shared.Client(), kind, `{"spec":{"versions":`+versions+`}}`))
		var err error
		eventually.True(t, fmt.Sprintf("a change is refused: want %t", inForce), func() bool {
			err = change()
			return (err != nil) == inForce
		}, &err)
	}
	put(relaxed, false)
	return func() { put(string(text), true) }
}
