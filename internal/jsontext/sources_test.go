package jsontext

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// products lists the folders of the repository whose code ships.
var products = []string{"api", "cmd", "config", "controllers", "internal", "nodeagent"}

// escapingEncoders lists the functions that escape HTML by default, by import path.
var escapingEncoders = map[string][]string{
	"encoding/json":                                 {"Marshal", "MarshalIndent", "NewEncoder", "HTMLEscape", "Encoder"},
	"k8s.io/apimachinery/pkg/util/json":             {"Marshal"},
	"k8s.io/apimachinery/pkg/runtime":               {"Encode"},
	"google.golang.org/protobuf/encoding/protojson": {"Marshal", "MarshalOptions", "Format"},
}

func TestNothingElseEncodesJSON(t *testing.T) {
	root := filepath.Join("..", "..")
	checked := 0
	for _, folder := range products {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			if filepath.Dir(path) == filepath.Join(root, "internal", "jsontext") {
				return nil
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			checked++
			for _, found := range encodersIn(t, path, source) {
				t.Errorf("%s: use package jsontext, which does not escape HTML", found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if checked < 100 {
		t.Errorf("only %d files were looked at", checked)
	}
}

func TestTheWalkFindsEveryWayToEncode(t *testing.T) {
	for _, use := range []string{
		`import "encoding/json"; var _, _ = json.Marshal(1)`,
		`import j "encoding/json"; var f = j.NewEncoder`,
		`import . "encoding/json"; var _, _ = Marshal(1)`,
		`import "encoding/json"; var e json.Encoder`,
	} {
		if found := encodersIn(t, "use.go", []byte("package p; "+use)); len(found) == 0 {
			t.Errorf("not found: %s", use)
		}
	}
	if found := encodersIn(t, "use.go", []byte(`package p; import "encoding/json"; var _ = json.Valid(nil)`)); len(found) != 0 {
		t.Errorf("%v", found)
	}
}

// encodersIn returns the uses of escaping encoders, and the imports that hide them.
func encodersIn(t *testing.T, path string, source []byte) (found []string) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	forbidden := map[string]bool{}
	for _, imported := range file.Imports {
		name, _ := strconv.Unquote(imported.Path.Value)
		functions, ok := escapingEncoders[name]
		if !ok {
			continue
		}
		local := filepath.Base(name)
		if imported.Name != nil {
			local = imported.Name.Name
		}
		if local == "." {
			found = append(found, files.Position(imported.Pos()).String())
		}
		for _, function := range functions {
			forbidden[local+"."+function] = true
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if from, ok := selector.X.(*ast.Ident); ok && forbidden[from.Name+"."+selector.Sel.Name] {
				found = append(found, files.Position(selector.Pos()).String()+" "+from.Name+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return found
}
