package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/config"
)

const guardedFieldsPage = "../../docs/reference/guarded-fields.md"

var (
	// guardedPath matches the fields that an expression reads from the object under review.
	guardedPath = regexp.MustCompile(`\bobject\.\??((?:spec|status|metadata)\.\??\w+(?:\.by\b)?|type\b)`)
	// guardedKeys matches the list of keys whose data an expression compares.
	guardedKeys = regexp.MustCompile(`\[((?:'\w+',?\s*)+)\]\.all\(k`)
	// patchedPath matches the field that a mutation sets.
	patchedPath = regexp.MustCompile(`path: '(/[\w/]+)'`)
	guardedRow  = regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| `([A-Za-z0-9.]+)` \\| (.+) \\| (.+) \\|$")
	testName    = regexp.MustCompile("`(Test\\w+)` \\(([\\w/]+)\\)")
)

// A policy that guards another field needs a row in the page. The row names the proof that the
// controller needs before it uses the value, and a test.
func TestEveryGuardedFieldHasItsRow(t *testing.T) {
	page, err := os.ReadFile(guardedFieldsPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, row := range guardedRow.FindAllStringSubmatch(string(page), -1) {
		rows[row[1]+" "+row[2]] = false
		checkNamedTests(t, row[1]+" "+row[2], row[4])
	}
	shipped, err := config.Objects(config.DirPolicy)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range shipped {
		if !strings.HasSuffix(object.GetKind(), "AdmissionPolicy") {
			continue
		}
		policy := strings.TrimSuffix(object.GetName(), ".mooring.dev")
		fields := guardedFields(object)
		if len(fields) == 0 {
			t.Errorf("policy %s guards no field that this test can find", policy)
		}
		for _, field := range fields {
			if _, ok := rows[policy+" "+field]; !ok {
				t.Errorf("policy %s guards %s: %s has no row for it", policy, field, guardedFieldsPage)
			}
			rows[policy+" "+field] = true
		}
	}
	for row, found := range rows {
		if !found {
			t.Errorf("%s has a row for %s, which no policy guards", guardedFieldsPage, row)
		}
	}
}

// Without a policy there is no proof. A test shows that a person without the right is refused.
func TestEveryFieldWithoutAPolicyHasATest(t *testing.T) {
	page, err := os.ReadFile(guardedFieldsPage)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Fields without a policy\n")
	rows := map[string]string{} // the cell with the tests, by field
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			rows[strings.TrimPrefix(cells[0], "| ")] = cells[2]
		}
	}
	for _, field := range []string{
		"`Node.spec.desiredState`",
		"ConfigMap `" + v1alpha1.ServiceAccountRulesConfigMap + "`",
		"`status` of PairingCodes and PairingRequests",
	} {
		checkNamedTests(t, field, rows[field])
	}
}

// checkNamedTests checks that the last cell of a row names at least one test, and that its tests
// exist.
func checkNamedTests(t *testing.T, row, cell string) {
	t.Helper()
	tests := testName.FindAllStringSubmatch(cell, -1)
	if len(tests) == 0 {
		t.Errorf("%s has no test in %s", row, guardedFieldsPage)
	}
	for _, test := range tests {
		if !hasTest(t, test[2], test[1]) {
			t.Errorf("%s names %s in %s: there is no such test", row, test[1], test[2])
		}
	}
}

// guardedFields returns the fields that the expressions of a policy name.
func guardedFields(policy *unstructured.Unstructured) []string {
	var fields []string
	for _, expression := range expressionsOf(policy.Object["spec"]) {
		for _, found := range guardedPath.FindAllStringSubmatch(expression, -1) {
			fields = append(fields, strings.ReplaceAll(found[1], "?", ""))
		}
		for _, found := range guardedKeys.FindAllStringSubmatch(expression, -1) {
			for key := range strings.SplitSeq(found[1], ",") {
				fields = append(fields, "data."+strings.Trim(key, " '\n"))
			}
		}
		for _, found := range patchedPath.FindAllStringSubmatch(expression, -1) {
			fields = append(fields, strings.ReplaceAll(strings.TrimPrefix(found[1], "/"), "/", "."))
		}
		if strings.Contains(expression, "request.name.startsWith") {
			fields = append(fields, "metadata.name")
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// expressionsOf returns the CEL expressions that decide, at any depth. It omits messages, and
// conditions that only select the objects.
func expressionsOf(value any) []string {
	var all []string
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if text, ok := inner.(string); ok && key == "expression" {
				all = append(all, text)
			} else if key != "matchConditions" {
				all = append(all, expressionsOf(inner)...)
			}
		}
	case []any:
		for _, inner := range v {
			all = append(all, expressionsOf(inner)...)
		}
	}
	return all
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), "func "+name+"(")
	})
}
