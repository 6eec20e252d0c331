package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTheManualHasEveryExitCode checks that the manual lists every exit code of the program, and no
// other.
func TestTheManualHasEveryExitCode(t *testing.T) {
	content, err := os.ReadFile("../../docs/how-to/install-the-agent.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[int]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| ([^|]+) \| ([^|]*)\|$`).FindAllStringSubmatch(string(content), -1) {
		code, _ := strconv.Atoi(row[1])
		documented[code] = row[2]
		if code != exitOK && strings.TrimSpace(row[3]) == "" {
			t.Errorf("the row of code %d names no next step", code)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Values(exitCodeConstants(t))), slices.Sorted(maps.Keys(documented))); diff != "" {
		t.Errorf("-the code +the manual:\n%s", diff)
	}
}

// exitCodeConstants returns the exit codes of exit.go by name.
func exitCodeConstants(t *testing.T) map[string]int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "exit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]int{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.INT {
			codes[spec.Names[0].Name], _ = strconv.Atoi(literal.Value)
		}
		return true
	})
	return codes
}
