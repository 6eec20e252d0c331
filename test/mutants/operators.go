package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// operators maps each operator to its faults: a negated comparison, a comparison with a moved
// bound, or the opposite calculation.
var operators = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.GEQ, token.LEQ}, token.LEQ: {token.GTR, token.LSS},
	token.GTR: {token.LEQ, token.GEQ}, token.GEQ: {token.LSS, token.GTR},
	token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},
}

// assignments maps each operator that assigns a calculated number to its opposite.
var assignments = map[token.Token]token.Token{
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN,
}

// bounds maps each built-in function that bounds a number to its opposite.
var bounds = map[string]string{"min": "max", "max": "min"}

// operatorMutants returns a mutant for each operator of the chosen code of a package, by file. It
// leaves out constants, because they are data.
func (p PurePackage) operatorMutants(ctx context.Context, root string) (map[string][]place, error) {
	set, sources, err := parsePackage(filepath.Join(root, p.Package))
	if err != nil {
		return nil, err
	}
	info, err := typesOf(ctx, root, p.Package, set, slices.Collect(maps.Values(sources)))
	if err != nil {
		return nil, err
	}
	found, unused := map[string][]place{}, map[string]bool{}
	for _, name := range slices.Concat(p.Files, p.Functions) {
		unused[name] = true
	}
	for path, file := range sources {
		source, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		base := filepath.Base(path)
		name := filepath.ToSlash(filepath.Join(p.Package, base))
		finder := operatorFinder{
			set: set, info: info, source: string(source), file: name, packageName: file.Name.Name,
			folder: p.Package, imports: importsOf(file),
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil || !p.chooses(base, functionName(function)) {
				continue
			}
			before := len(finder.places)
			finder.find(function)
			if len(finder.places) > before {
				delete(unused, base)
				delete(unused, functionName(function))
			}
		}
		if len(finder.places) > 0 {
			found[name] = finder.places
		}
	}
	if len(unused) > 0 {
		return nil, fmt.Errorf("no operator is in these files or functions: %s", slices.Sorted(maps.Keys(unused)))
	}
	return found, nil
}

// chooses reports whether the operators of a function are broken.
func (p PurePackage) chooses(file, function string) bool {
	return len(p.Files)+len(p.Functions) == 0 || slices.Contains(p.Files, file) || slices.Contains(p.Functions, function)
}

// parsePackage parses the files of a folder, except for tests, and returns them by their path.
func parsePackage(folder string) (*token.FileSet, map[string]*ast.File, error) {
	set, files := token.NewFileSet(), map[string]*ast.File{}
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		if files[name], err = parser.ParseFile(set, name, nil, parser.SkipObjectResolution); err != nil {
			return nil, nil, err
		}
	}
	return set, files, nil
}

// typesOf checks the types of a package. The go command builds the imported packages.
func typesOf(ctx context.Context, root, folder string, set *token.FileSet, files []*ast.File) (*types.Info, error) {
	list := exec.CommandContext(ctx, "go", "list", "-export", "-deps", "-json=ImportPath,Export", "./"+folder)
	list.Dir = root
	list.Stderr = os.Stderr
	output, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list ./%s: %w", folder, err)
	}
	exports := map[string]string{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var one struct{ ImportPath, Export string }
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list ./%s: %w", folder, err)
		}
		exports[one.ImportPath] = one.Export
	}
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	config := types.Config{Importer: importer.ForCompiler(set, "gc", open)}
	if _, err := config.Check(folder, set, files, info); err != nil {
		return nil, err
	}
	return info, nil
}

// operatorFinder finds the operators of one file.
type operatorFinder struct {
	set                       *token.FileSet
	info                      *types.Info
	source, file, packageName string
	folder                    string // of the package

	imports  map[string]string // the names of imported packages in this file, by path
	function string
	places   []place
}

// find adds the mutants of the operators of a function.
func (f *operatorFinder) find(function *ast.FuncDecl) {
	f.function = functionName(function)
	headers := map[ast.Stmt]bool{} // the init and post statements of if, for and switch, which are in no block
	ast.Inspect(function.Body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			f.addBinary(node)
		case *ast.CallExpr:
			f.addBound(node)
		case *ast.IfStmt:
			headers[node.Init] = true
		case *ast.SwitchStmt:
			headers[node.Init] = true
		case *ast.ForStmt:
			headers[node.Init], headers[node.Post] = true, true
		case *ast.IncDecStmt:
			if !headers[node] {
				f.addIncDec(node)
			}
		case *ast.AssignStmt:
			f.addAssignment(node, headers[node])
		case *ast.UnaryExpr:
			if node.Op == token.SUB {
				f.addExpression(node, f.typeOf(node), f.text(node.X))
			}
		}
		return true
	})
}

// addBound exchanges min and max.
func (f *operatorFinder) addBound(node *ast.CallExpr) {
	name, ok := node.Fun.(*ast.Ident)
	if !ok || !f.info.Types[node.Fun].IsBuiltin() || bounds[name.Name] == "" {
		return
	}
	f.addExpression(node, f.typeOf(node), bounds[name.Name]+strings.TrimPrefix(f.text(node), name.Name))
}

// addAssignment replaces the operator of an assignment by its opposite. In the header of a statement
// it negates the operand instead, because no other statement is possible there.
func (f *operatorFinder) addAssignment(node *ast.AssignStmt, header bool) {
	opposite, ok := assignments[node.Tok]
	if !ok {
		return
	}
	left, right := node.Lhs[0], node.Rhs[0]
	of := f.typeOf(left)
	switch {
	case of == "":
	case !header:
		f.addStatement(node, f.text(left)+" "+opposite.String()+" "+f.text(right))
	case f.info.Types[right].Value == nil && (node.Tok == token.ADD_ASSIGN || node.Tok == token.SUB_ASSIGN):
		f.addExpression(right, of, "-("+f.text(right)+")")
	}
}

func (f *operatorFinder) addBinary(node *ast.BinaryExpr) {
	of := f.typeOf(node)
	for _, operator := range operators[node.Op] {
		f.addExpression(node, of, f.text(node.X)+" "+operator.String()+" "+f.text(node.Y))
	}
}

func (f *operatorFinder) addIncDec(node *ast.IncDecStmt) {
	turned := token.INC
	if node.Tok == token.INC {
		turned = token.DEC
	}
	f.addStatement(node, f.text(node.X)+turned.String())
}

// typeOf returns the type of an expression as its package writes it. It returns "" for a constant,
// and for an expression that is neither a condition nor a number.
func (f *operatorFinder) typeOf(node ast.Expr) string {
	of := f.info.Types[node]
	if of.Value != nil || of.Type == nil {
		return ""
	}
	basic, ok := of.Type.Underlying().(*types.Basic)
	if !ok || basic.Info()&(types.IsBoolean|types.IsNumeric) == 0 {
		return ""
	}
	if basic.Info()&types.IsUntyped != 0 {
		return types.Default(of.Type).String()
	}
	named := true
	text := types.TypeString(of.Type, func(of *types.Package) string {
		if of.Path() == f.folder {
			return ""
		}
		name, ok := f.imports[of.Path()]
		named = named && ok
		return name
	})
	if !named {
		return "" // this file has no name for the type
	}
	return text
}

// importsOf returns the names of imported packages by their path. The default name is the last part
// of the path.
func importsOf(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		names[path] = filepath.Base(path)
		if spec.Name != nil {
			names[path] = spec.Name.Name
		}
	}
	return names
}

func (f *operatorFinder) addExpression(node ast.Expr, of, replacement string) {
	if of != "" {
		f.addPlace(node, of, replacement, false)
	}
}

func (f *operatorFinder) addStatement(node ast.Stmt, replacement string) {
	f.addPlace(node, "", replacement, true)
}

func (f *operatorFinder) addPlace(node ast.Node, of, replacement string, statement bool) {
	at := f.set.Position(node.Pos())
	m := Mutant{
		Name:     fmt.Sprintf("%s:%d:%d:%d", f.file, at.Line, at.Column, len(f.places)),
		Function: f.function, Expression: f.text(node), Replacement: replacement, Type: of,
	}
	f.places = append(f.places, place{
		mutant: m, file: f.file, packageName: f.packageName, statement: statement,
		begin: at.Offset, end: f.set.Position(node.End()).Offset,
	})
}

// text returns the source of a node.
func (f *operatorFinder) text(node ast.Node) string {
	return f.source[f.set.Position(node.Pos()).Offset:f.set.Position(node.End()).Offset]
}
