package gatewayv1

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestReasonsAreUniqueDocumentedAndInUpperSnakeCase excepts the marker that earlier agents and gateways
// know from the form.
func TestReasonsAreUniqueDocumentedAndInUpperSnakeCase(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reasons.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../../../docs/reference/denials.md")
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[A-Z][A-Z0-9_]+[A-Z0-9]$`)
	seen := map[string]string{ReasonSaidByGateway: "ReasonSaidByGateway"}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") || spec.Names[0].Name == "ReasonSaidByGateway" {
			return true
		}
		name := spec.Names[0].Name
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			t.Fatalf("%s is not a literal", name)
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil || !form.MatchString(value) || seen[value] != "" {
			t.Errorf("%s = %q (also %s), %v", name, value, seen[value], err)
		}
		seen[value] = name
		if !strings.Contains(string(page), "\n| `"+value+"` | ") {
			t.Errorf("docs/reference/denials.md has no row for %s", value)
		}
		return true
	})
	if len(seen) < 30 {
		t.Errorf("found %d reasons", len(seen))
	}
}
