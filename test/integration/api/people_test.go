package api_test

import (
	"fmt"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mooring-dev/mooring/test/eventually"
)

// bind gives a user a ClusterRole in a namespace and waits until the API server applies it.
func bind(t *testing.T, namespace, user, clusterRole string, check authorizationv1.ResourceAttributes) client.Client {
	t.Helper()
	mustCreate(t, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + clusterRole},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
	waitAllowed(t, namespace, user, check)
	return shared.ClientFor(t, shared.UserConfig(user))
}

// mayInvoke gives a user the verb invoke on capabilities in a namespace.
func mayInvoke(t *testing.T, namespace, user string, names ...string) client.Client {
	t.Helper()
	allow(t, namespace, user, authorizationv1.ResourceAttributes{Resource: "capabilitydispatches", Verb: "create"},
		rbacv1.PolicyRule{APIGroups: []string{"mooring.dev"}, Resources: []string{"capabilities"}, ResourceNames: names, Verbs: []string{"invoke"}},
		rbacv1.PolicyRule{APIGroups: []string{"mooring.dev"}, Resources: []string{"capabilitydispatches"},
			Verbs: []string{"get", "create", "update", "patch"}})
	return shared.ClientFor(t, shared.UserConfig(user))
}

// allowVerbs gives a user verbs on one Mooring resource that no role for people grants alone.
func allowVerbs(t *testing.T, namespace, user, resource string, verbs ...string) {
	t.Helper()
	allow(t, namespace, user, authorizationv1.ResourceAttributes{Resource: resource, Verb: verbs[0]},
		rbacv1.PolicyRule{APIGroups: []string{"mooring.dev"}, Resources: []string{resource}, Verbs: verbs})
}

func allow(t *testing.T, namespace, user string, check authorizationv1.ResourceAttributes, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + check.Resource}
	mustCreate(t, &rbacv1.Role{ObjectMeta: meta, Rules: rules})
	mustCreate(t, &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})
	waitAllowed(t, namespace, user, check)
}

func waitAllowed(t *testing.T, namespace, user string, check authorizationv1.ResourceAttributes) {
	t.Helper()
	check.Group, check.Namespace = "mooring.dev", namespace
	eventually.True(t, fmt.Sprintf("%s may %s %s", user, check.Verb, check.Resource), func() bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &check}}
		if err := shared.Client().Create(t.Context(), review); err != nil {
			t.Fatalf("review access: %v", err)
		}
		return review.Status.Allowed
	})
}

func approver(t *testing.T, namespace, user string) client.Client {
	t.Helper()
	return bind(t, namespace, user, "mooring-approver", authorizationv1.ResourceAttributes{Resource: "pairingrequests", Verb: "approve"})
}

func issuer(t *testing.T, namespace, user string) client.Client {
	t.Helper()
	return bind(t, namespace, user, "mooring-pairing-issuer", authorizationv1.ResourceAttributes{Resource: "pairingcodes", Verb: "create"})
}

func operator(t *testing.T, namespace, user string) client.Client {
	t.Helper()
	return bind(t, namespace, user, "mooring-operator", authorizationv1.ResourceAttributes{Resource: "nodes", Verb: "patch"})
}

func viewer(t *testing.T, namespace, user string) client.Client {
	t.Helper()
	return bind(t, namespace, user, "mooring-viewer", authorizationv1.ResourceAttributes{Resource: "nodes", Verb: "list"})
}
