package capabilityname

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// familyExpression is the CEL expression of [RoleNames] in the admission policies: the family of a
// capability, or its name if it has none.
const familyExpression = `object.spec.capability.contains('.') ? object.spec.capability.split('.')[0] + '.*' : object.spec.capability`

// copied lists the fields of the API that hold names or entries, by Kind, with their number.
var copied = map[string]int{
	"CapabilityDispatch name": 1, // spec.capability
	"Node entry":              2, // spec.capabilityPolicy.allow, .deny
	"PairingCode entry":       1, // spec.capabilities
	"PairingRequest entry":    1, // spec.requestedCapabilities; those of a decision must be among them
}

// The API server cannot call this package, so the CRDs hold copies of its patterns and bounds.
func TestThePatternsInTheCRDsAreThoseOfThePackage(t *testing.T) {
	found := map[string]int{}
	for path, crd := range readManifests(t, "../../config/crd/bases/*.yaml") {
		kind, _ := lookUp(crd, "spec", "names", "kind").(string)
		walk(crd, func(schema map[string]any) {
			items, _ := schema["items"].(map[string]any)
			pattern, _ := items["pattern"].(string)
			switch {
			case strings.Contains(plain(ruleOf(schema)), "matches('"+namePattern+"')"):
				found[kind+" name"]++
				checkBound(t, path, schema["maxLength"], MaxBytes)
			case plain(pattern) == entryPattern:
				found[kind+" entry"]++
				checkBound(t, path, items["maxLength"], MaxBytes)
				checkBound(t, path, schema["maxItems"], MaxEntries)
			case strings.Contains(plain(pattern), "[a-z][a-z0-9_-]*"), strings.Contains(plain(ruleOf(schema)), "[a-z][a-z0-9_-]*"):
				t.Errorf("%s: %q %q differs from the patterns of the package", path, pattern, ruleOf(schema))
			}
		})
	}
	if diff := cmp.Diff(copied, found); diff != "" {
		t.Errorf("fields with the patterns (-want +got):\n%s", diff)
	}
}

func TestTheFamilyInThePoliciesIsThatOfThePackage(t *testing.T) {
	var found []string
	for path, policy := range readManifests(t, "../../config/policy/*.yaml") {
		walk(policy, func(node map[string]any) {
			if expression, _ := node["expression"].(string); strings.Contains(expression, "spec.capability.split") {
				found = append(found, filepath.Base(path))
				if expression != familyExpression {
					t.Errorf("%s: %q", path, expression)
				}
			}
		})
	}
	if diff := cmp.Diff([]string{"dispatches.yaml"}, found); diff != "" {
		t.Errorf("policies with the expression (-want +got):\n%s", diff)
	}
}

// plain writes a pattern with character classes in place of backslashes.
func plain(pattern string) string {
	return strings.NewReplacer(`\.`, `[.]`, `\*`, `[*]`).Replace(pattern)
}

// ruleOf returns the CEL rules of a schema.
func ruleOf(schema map[string]any) string {
	var rules []string
	validations, _ := schema["x-kubernetes-validations"].([]any)
	for _, v := range validations {
		validation, _ := v.(map[string]any)
		rule, _ := validation["rule"].(string)
		rules = append(rules, rule)
	}
	return strings.Join(rules, "\n")
}

func checkBound(t *testing.T, path string, got any, want int) {
	t.Helper()
	if number, _ := got.(float64); int(number) != want {
		t.Errorf("%s: the bound is %v, want %d", path, got, want)
	}
}

func readManifests(t *testing.T, glob string) map[string]any {
	t.Helper()
	paths, err := filepath.Glob(glob)
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %v, %d files", glob, err, len(paths))
	}
	manifests := map[string]any{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i, document := range strings.Split(string(text), "\n---\n") {
			var manifest any
			if err := yaml.Unmarshal([]byte(document), &manifest); err != nil {
				t.Fatalf("%s, document %d: %v", path, i, err)
			}
			manifests[strings.Repeat("/", i)+path] = manifest
		}
	}
	return manifests
}

func lookUp(value any, keys ...string) any {
	for _, key := range keys {
		fields, _ := value.(map[string]any)
		value = fields[key]
	}
	return value
}

// walk calls visit for each object in value, in a fixed order.
func walk(value any, visit func(map[string]any)) {
	switch value := value.(type) {
	case map[string]any:
		visit(value)
		for _, key := range slices.Sorted(maps.Keys(value)) {
			walk(value[key], visit)
		}
	case []any:
		for _, element := range value {
			walk(element, visit)
		}
	}
}
