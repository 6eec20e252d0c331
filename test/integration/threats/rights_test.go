package threats_test

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
	"github.com/mooring-dev/mooring/test/cluster"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A change that extends the rights of an account or a role must change the golden file in the same
// commit.
func TestRightsAreTheOnesWrittenDown(t *testing.T) {
	f := newFleet(t)
	lines := shippedRoles(t)
	for _, account := range []string{v1alpha1.ControllerServiceAccount, v1alpha1.GatewayServiceAccount, v1alpha1.ProbeServiceAccount} {
		for title, namespace := range map[string]string{
			v1alpha1.SystemNamespace: v1alpha1.SystemNamespace, v1alpha1.PairingNamespace: v1alpha1.PairingNamespace, "a fleet": f.Namespace,
		} {
			rights, err := cluster.Of(system.Cluster).ListRights(f.Context(), account, namespace, account+" in "+title)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, rights...)
		}
	}
	slices.Sort(lines)
	got := strings.Join(slices.Compact(lines), "\n") + "\n"
	path := filepath.Join("testdata", "rights.golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // nothing secret
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("rights changed; if this is intended, run the test with -update (-want +got):\n%s", diff)
	}
}

// shippedRoles returns the rights of the shipped ClusterRoles.
func shippedRoles(t *testing.T) []string {
	t.Helper()
	objects, err := config.Objects(config.DirRBAC)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, object := range objects {
		if object.GetKind() != "ClusterRole" {
			continue
		}
		var role rbacv1.ClusterRole
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		if role.AggregationRule != nil {
			t.Errorf("%s aggregates other roles: this list would not show them", role.Name)
		}
		var rules []authorizationv1.ResourceRule
		for _, r := range role.Rules {
			if len(r.NonResourceURLs) > 0 {
				t.Errorf("%s may call %v: this list would not show it", role.Name, r.NonResourceURLs)
			}
			rules = append(rules, authorizationv1.ResourceRule{Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
		}
		lines = append(lines, cluster.RightsLines("ClusterRole "+role.Name, rules)...)
	}
	return lines
}
