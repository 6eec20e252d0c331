package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// Mutant is one deliberate fault in a line that keeps a promise, with the tests that must find it.
// It names code by function and expression, so that it stays valid through every change except one
// of that line.
type Mutant struct {
	// Name identifies the mutant: lower-case words with dashes.
	Name string `json:"name"`
	// Promise is the sentence that the mutant breaks.
	Promise string `json:"promise"`
	// Package is the folder of the code, relative to the repository.
	Package string `json:"package"`
	// Function is the name of the function, with the type of its receiver: Facts.Unstarted.
	Function string `json:"function"`
	// Expression is the expression or statement to be replaced, as gofmt writes it apart from spaces.
	Expression string `json:"expression"`
	// Replacement is the faulty code.
	Replacement string `json:"replacement"`
	// Type is the type of the expression, bool if empty. A statement has none.
	Type string `json:"type,omitempty"`
	// Unit is the test without a cluster that fails with the mutant.
	Unit Test `json:"unit"`
	// Process is the test with real processes or a real API server that fails with the mutant.
	Process Test `json:"process"`
	// With names the mutants of the other lines that keep the promise, if there are any. They are
	// active together with this one in the test with processes. The test passes with them alone.
	With []string `json:"with,omitempty"`
	// Gap names the other line that keeps the promise where a test with processes looks, so that no
	// such test can find the fault. A mutant has either Process or Gap.
	Gap string `json:"gap,omitempty"`
}

// Test names one test function.
type Test struct {
	// Package is the folder of the test, relative to the repository.
	Package string `json:"package"`
	// Name is the test function, or a subtest of it: TestX/a_case.
	Name string `json:"name"`
}

// loadCatalogue reads the mutants from a file and reports every missing field.
func loadCatalogue(path string) ([]Mutant, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the catalogue of mutants: %w", err)
	}
	var mutants []Mutant
	if err := yaml.UnmarshalStrict(content, &mutants); err != nil {
		return nil, fmt.Errorf("read the catalogue of mutants %s: %w", path, err)
	}
	var problems []error
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.Name] {
			problems = append(problems, fmt.Errorf("mutant %s: the name is used twice", m.Name))
		}
		seen[m.Name] = true
		for field, value := range map[string]string{"name": m.Name, "promise": m.Promise, "package": m.Package,
			"function": m.Function, "expression": m.Expression, "unit.package": m.Unit.Package, "unit.name": m.Unit.Name} {
			if value == "" {
				problems = append(problems, fmt.Errorf("mutant %s: %s is empty", m.Name, field))
			}
		}
		if (m.Process.Package == "" || m.Process.Name == "") == (m.Gap == "") {
			problems = append(problems, fmt.Errorf("mutant %s: give either process or gap", m.Name))
		}
	}
	for _, m := range mutants {
		for _, other := range m.With {
			if !seen[other] || other == m.Name || m.Gap != "" {
				problems = append(problems, fmt.Errorf("mutant %s: with: %s is not another mutant, or there is no process", m.Name, other))
			}
		}
	}
	return mutants, errors.Join(problems...)
}

// place is the location of a mutant in the code.
type place struct {
	mutant            Mutant
	file, packageName string // the file is relative to the repository
	begin, end        int    // offsets in the file
	statement         bool
}

// findPlace returns the place of the mutant. The expression must occur exactly once in the function.
func (m Mutant) findPlace(root string) (place, error) {
	files, err := filepath.Glob(filepath.Join(root, m.Package, "*.go"))
	if err != nil {
		return place{}, fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return place{}, fmt.Errorf("mutant %s: %w", m.Name, err)
		}
		p, found, err := m.findPlaceIn(source)
		if err != nil {
			return place{}, fmt.Errorf("mutant %s: %s: %w", m.Name, file, err)
		}
		if found {
			p.file, err = filepath.Rel(root, file)
			return p, err
		}
	}
	return place{}, fmt.Errorf("mutant %s: package %s has no function %s", m.Name, m.Package, m.Function)
}

// findPlaceIn searches one file for the function. found is false when the file does not declare it.
func (m Mutant) findPlaceIn(source []byte) (p place, found bool, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, parser.SkipObjectResolution)
	if err != nil {
		return place{}, false, err
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil || functionName(function) != m.Function {
			continue
		}
		p, err := m.locate(set, function, source)
		p.packageName = file.Name.Name
		return p, err == nil, err
	}
	return place{}, false, nil
}

// locate returns the place of the expression in the function.
func (m Mutant) locate(set *token.FileSet, function *ast.FuncDecl, source []byte) (place, error) {
	want := withoutSpace(m.Expression)
	var places []place
	ast.Inspect(function.Body, func(node ast.Node) bool {
		if node == nil {
			return false
		}
		p := place{mutant: m, begin: set.Position(node.Pos()).Offset, end: set.Position(node.End()).Offset}
		if withoutSpace(string(source[p.begin:p.end])) != want {
			return true
		}
		_, p.statement = node.(ast.Stmt)
		places = append(places, p)
		return false // the statement consists of this expression
	})
	if len(places) != 1 {
		return place{}, fmt.Errorf("function %s has the expression %d times, not once: %s", m.Function, len(places), m.Expression)
	}
	return places[0], nil
}

// functionName returns Type.Method for a method and the plain name for a function.
func functionName(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if pointer, ok := receiver.(*ast.StarExpr); ok {
		receiver = pointer.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	return fmt.Sprint(receiver) + "." + function.Name.Name
}

func withoutSpace(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}
