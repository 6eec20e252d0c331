package threats_test

import (
	"flag"
	"fmt"
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
)

var update = flag.Bool("update", false, "write the golden files anew")

// Whoever gives an account or a role more has to change this file too, in the same commit.
func TestRightsAreTheOnesWrittenDown(t *testing.T) {
	f := newFleet(t)
	lines := shippedRoles(t)
	for _, account := range []string{v1alpha1.ControllerServiceAccount, v1alpha1.GatewayServiceAccount, v1alpha1.ProbeServiceAccount} {
		for title, namespace := range map[string]string{
			v1alpha1.SystemNamespace: v1alpha1.SystemNamespace, v1alpha1.PairingNamespace: v1alpha1.PairingNamespace, "a fleet": f.Namespace,
		} {
			lines = append(lines, f.effective(account, namespace, account+" in "+title)...)
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
		t.Errorf("rights changed; if that is meant, run the test with -update (-want +got):\n%s", diff)
	}
}

// effective asks the API server what a token of the account may do in a namespace. What everybody
// may do (discovery, asking about oneself) is left out.
func (f *fleet) effective(account, namespace, title string) []string {
	f.Helper()
	own := f.rulesOf(account, namespace)
	everybody := map[string]bool{}
	for _, rule := range linesOf(title, f.rulesOf("default", namespace)) {
		everybody[rule] = true
	}
	return slices.DeleteFunc(linesOf(title, own), func(line string) bool { return everybody[line] })
}

func (f *fleet) rulesOf(account, namespace string) []authorizationv1.ResourceRule {
	f.Helper()
	access, err := system.Cluster.ServiceAccountConfig(f.Context(), v1alpha1.SystemNamespace, account)
	if err != nil {
		f.Fatal(err)
	}
	review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}
	if err := system.Cluster.ClientFor(f, access).Create(f.Context(), review); err != nil {
		f.Fatal(err)
	}
	if review.Status.Incomplete {
		f.Fatalf("the API server does not know all rights of %s: %s", account, review.Status.EvaluationError)
	}
	return review.Status.ResourceRules
}

// linesOf writes one line for each resource.
func linesOf(title string, rules []authorizationv1.ResourceRule) []string {
	var lines []string
	for _, rule := range rules {
		verbs := slices.Sorted(slices.Values(rule.Verbs))
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				line := fmt.Sprintf("%s: %s/%s", title, group, resource)
				if len(rule.ResourceNames) > 0 {
					line += fmt.Sprintf(" %v", slices.Sorted(slices.Values(rule.ResourceNames)))
				}
				lines = append(lines, line+": "+strings.Join(verbs, " "))
			}
		}
	}
	return lines
}

// shippedRoles are the ClusterRoles as they are shipped.
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
		lines = append(lines, linesOf("ClusterRole "+role.Name, rules)...)
	}
	return lines
}
