package api_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// No admission policy guards these objects. RBAC alone keeps people from them.

func TestOnlyAnOperatorOfTheFleetChangesTheDesiredState(t *testing.T) {
	namespace, elsewhere := shared.Namespace(t), shared.Namespace(t)
	o := newObject("Node", namespace, "bench-3", nodeSpec(map[string]any{"desiredState": "Active"}))
	mustCreate(t, o)
	for name, person := range map[string]client.Client{
		"a viewer":                     viewer(t, namespace, "state-vic"),
		"an approver":                  approver(t, namespace, "state-ann"),
		"an issuer":                    issuer(t, namespace, "state-ida"),
		"an operator of another fleet": operator(t, elsewhere, "state-eve"),
		"a person without a role":      shared.ClientFor(t, shared.UserConfig("state-zoe")),
	} {
		t.Run(name, func(t *testing.T) {
			for _, state := range []string{"Suspended", "Revoked"} {
				wantRefused(t, patch(t, person, o, `{"spec":{"desiredState":"`+state+`"}}`), forbidden)
				put := getLive(t, o)
				if err := unstructured.SetNestedField(put.Object, state, "spec", "desiredState"); err != nil {
					t.Fatal(err)
				}
				wantRefused(t, person.Update(t.Context(), put), forbidden)
			}
			wantRefused(t, person.Delete(t.Context(), o.DeepCopy()), forbidden)
		})
	}
	if got := stampOf(t, o, "desiredState"); got != "Active" {
		t.Errorf("desiredState is %q, want Active", got)
	}
	wantAccepted(t, patch(t, operator(t, namespace, "state-ivo"), o, `{"spec":{"desiredState":"Suspended"}}`))
}

// rolesForPeople binds each role for people to a user in a namespace. It removes the bindings after
// the test.
func rolesForPeople(t *testing.T, namespace, prefix string) map[string]client.Client {
	t.Helper()
	bindings := map[string]string{prefix + "-vic": "mooring-viewer", prefix + "-ann": "mooring-approver", prefix + "-ida": "mooring-pairing-issuer", prefix + "-ivo": "mooring-operator"}
	t.Cleanup(func() {
		for user, role := range bindings {
			binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + role}}
			if err := shared.Client().Delete(context.Background(), binding); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
	})
	return map[string]client.Client{
		"a viewer":    viewer(t, namespace, prefix+"-vic"),
		"an approver": approver(t, namespace, prefix+"-ann"),
		"an issuer":   issuer(t, namespace, prefix+"-ida"),
		"an operator": operator(t, namespace, prefix+"-ivo"),
	}
}

// The rules admit ServiceAccounts to fleets. Even a role in the namespace of the rules does not
// contain the right to change them.
func TestNoRoleForPeopleChangesTheRulesForServiceAccounts(t *testing.T) {
	callers := rolesForPeople(t, v1alpha1.SystemNamespace, "rules")
	callers["a gateway"] = serviceAccountClient(t, v1alpha1.GatewayServiceAccount)
	for name, caller := range callers {
		t.Run(name, func(t *testing.T) {
			rules := &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.SystemNamespace, Name: v1alpha1.ServiceAccountRulesConfigMap},
				Data:       map[string]string{"pods.robot": "fleet: robots"},
			}
			merge := client.RawPatch(types.MergePatchType, []byte(`{"data":{"pods.robot":"fleet: robots"}}`))
			wantRefused(t, caller.Create(t.Context(), rules.DeepCopy()), forbidden)
			wantRefused(t, caller.Update(t.Context(), rules.DeepCopy()), forbidden)
			wantRefused(t, caller.Patch(t.Context(), rules.DeepCopy(), merge), forbidden)
			wantRefused(t, caller.Delete(t.Context(), rules.DeepCopy()), forbidden)
		})
	}
}

func TestNoRoleForPeopleWritesTheStatusOfCodesAndRequests(t *testing.T) {
	namespace := shared.Namespace(t)
	code := newObject("PairingCode", namespace, "one", codeSpec(nil))
	request := newObject("PairingRequest", namespace, "one", requestSpec(nil))
	mustCreate(t, code)
	mustCreate(t, request)
	for name, person := range rolesForPeople(t, namespace, "status") {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, patchStatus(t, person, code, `{"status":{"phase":"Active"}}`), forbidden)
			wantRefused(t, patchStatus(t, person, request, `{"status":{"phase":"Approved"}}`), forbidden)
			wantRefused(t, patchStatus(t, person, request, `{"status":{"policyEpoch":"forged"}}`), forbidden)
		})
	}
}
