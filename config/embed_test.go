package config_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
)

func policies(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestEveryDirectoryHasObjects(t *testing.T) {
	for _, dir := range []string{config.DirCRD, config.DirRBAC, config.DirPolicy, config.DirCertManager} {
		objects, err := config.Objects(dir)
		if err != nil || len(objects) < 4 {
			t.Errorf("%s: %d objects, %v", dir, len(objects), err)
		}
		for _, o := range objects {
			if o.GetKind() == "" || o.GetName() == "" || o.GetAPIVersion() == "" {
				t.Errorf("%s holds an object without kind or name: %v", dir, o.Object)
			}
		}
	}
	if _, err := config.Objects("nothing"); err == nil {
		t.Error("a directory that does not exist has objects")
	}
}

func TestNamespacesComeFirst(t *testing.T) {
	objects, err := config.Objects(config.DirRBAC)
	if err != nil {
		t.Fatal(err)
	}
	if objects[0].GetKind() != "Namespace" || objects[1].GetKind() != "Namespace" {
		t.Errorf("the first objects are %s and %s, want two Namespaces", objects[0].GetKind(), objects[1].GetKind())
	}
}

// A binding without its policy admits everything, and so does a policy without its binding.
func TestEveryPolicyFailsClosedAndIsBound(t *testing.T) {
	bound := map[string]bool{}
	for _, o := range policies(t) {
		if name, found, _ := unstructured.NestedString(o.Object, "spec", "policyName"); found {
			bound[strings.TrimSuffix(o.GetKind(), "Binding")+" "+name] = true
		}
	}
	count := 0
	for _, o := range policies(t) {
		if strings.HasSuffix(o.GetKind(), "Binding") {
			continue
		}
		count++
		if failure, _, _ := unstructured.NestedString(o.Object, "spec", "failurePolicy"); failure != "Fail" {
			t.Errorf("%s has failurePolicy %q", o.GetName(), failure)
		}
		if !bound[o.GetKind()+" "+o.GetName()] {
			t.Errorf("%s %s has no binding", o.GetKind(), o.GetName())
		}
	}
	if count != len(bound) {
		t.Errorf("%d policies, %d bindings", count, len(bound))
	}
}

// The prover recognizes the refusals of a policy by their beginning.
func TestEveryRefusalBeginsWithTheNameOfItsPolicy(t *testing.T) {
	want := map[string]bool{
		v1alpha1.PolicyDispatches: true, v1alpha1.PolicyPairingCodes: true, v1alpha1.PolicyPairingRequests: true,
		v1alpha1.PolicyNodes: true, v1alpha1.PolicyNodeStatus: true, v1alpha1.PolicyControllerSecrets: true,
		v1alpha1.PolicyGatewaySecrets: true, v1alpha1.PolicyGatewayLeases: true,
	}
	for _, o := range policies(t) {
		if o.GetKind() != "ValidatingAdmissionPolicy" {
			continue
		}
		policy := strings.TrimSuffix(o.GetName(), "."+v1alpha1.GroupName)
		if !want[policy] {
			t.Errorf("policy %s has no constant", policy)
		}
		delete(want, policy)
		validations, _, _ := unstructured.NestedSlice(o.Object, "spec", "validations")
		for _, validation := range validations {
			fields := validation.(map[string]any)
			message, _ := fields["message"].(string)
			if expression, ok := fields["messageExpression"].(string); ok {
				message = strings.TrimPrefix(expression, "'")
			}
			if !strings.HasPrefix(message, v1alpha1.PolicyMessage(policy)) {
				t.Errorf("policy %s refuses with %q", policy, message)
			}
		}
	}
	for policy := range want {
		t.Errorf("policy %s is not shipped", policy)
	}
}
