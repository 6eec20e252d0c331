package plugin_test

import (
	"path/filepath"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The people of these tests; nora has no rights at all.
const (
	ida  = "ida"  // issues codes and reads them
	ilse = "ilse" // issues codes, may not read them
	ada  = "ada"  // approves
	pete = "pete" // may patch requests, but lacks the verb approve
	ivan = "ivan" // invokes echo and system.*, reads Nodes
	nora = "nora"
)

var kubeconfigs sync.Map // user to path

// kubeconfig returns the path of a person's kubeconfig, which has its own client certificate.
func kubeconfig(t *testing.T, user string) string {
	t.Helper()
	if path, ok := kubeconfigs.Load(user); ok {
		return path.(string)
	}
	path := filepath.Join(workDir, user+".kubeconfig")
	if err := sharedCluster.WriteUserKubeconfig(t.Context(), path, user); err != nil {
		t.Fatal(err)
	}
	kubeconfigs.Store(user, path)
	return path
}

// newFleet returns a new namespace in which these people have their rights.
func newFleet(t *testing.T) string {
	t.Helper()
	ns := sharedCluster.Namespace(t)
	bindClusterRole(t, ns, "mooring-pairing-issuer", ida, ilse)
	bindClusterRole(t, ns, "mooring-approver", ada)
	bindRole(t, ns, "read-codes", ida, policyRule("", "secrets", "get"))
	bindRole(t, ns, "patch-requests", pete, policyRule("mooring.dev", "pairingrequests", "get", "list", "patch"))
	capabilities := policyRule("mooring.dev", "capabilities", "invoke")
	capabilities.ResourceNames = []string{"echo", "system.*"}
	bindRole(t, ns, "invoke", ivan, capabilities, policyRule("mooring.dev", "nodes", "get", "list"),
		policyRule("mooring.dev", "capabilitydispatches", "create", "get", "list", "watch", "patch"))
	return ns
}

func policyRule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func bindClusterRole(t *testing.T, ns, role string, users ...string) {
	t.Helper()
	bind(t, ns, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, users...)
}

func bindRole(t *testing.T, ns, name, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	create(t, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Rules: rules})
	bind(t, ns, rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}, user)
}

func bind(t *testing.T, ns string, role rbacv1.RoleRef, users ...string) {
	t.Helper()
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, GenerateName: role.Name + "-"}, RoleRef: role}
	for _, user := range users {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: user})
	}
	create(t, binding)
}

// create creates an object as the administrator.
func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := sharedCluster.Client().Create(t.Context(), object); err != nil {
		t.Fatalf("create %T: %v", object, err)
	}
}
