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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// operators are the faults of an operator: a comparison is negated or includes its bound or not, a
// calculation is turned around.
var operators = map[token.Token][]token.Token{
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
	token.LSS: {token.GEQ, token.LEQ}, token.LEQ: {token.GTR, token.LSS},
	token.GTR: {token.LEQ, token.GEQ}, token.GEQ: {token.LSS, token.GTR},
	token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL}, token.REM: {token.MUL},
}

// operatorMutants returns a mutant for each operator of a package, by file. only names its files; none
// is all of them. Constants are left out: they are data.
func operatorMutants(ctx context.Context, root, folder string, only []string) (map[string][]place, error) {
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	sources := map[*ast.File]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		sources[file] = name
	}
	info, err := typesOf(ctx, root, folder, set, files)
	if err != nil {
		return nil, err
	}
	found := map[string][]place{}
	for _, file := range files {
		if len(only) > 0 && !slices.Contains(only, filepath.Base(sources[file])) {
			continue
		}
		source, err := os.ReadFile(sources[file])
		if err != nil {
			return nil, err
		}
		name := filepath.ToSlash(filepath.Join(folder, filepath.Base(sources[file])))
		finder := operatorFinder{
			set: set, info: info, source: string(source), file: name, packageName: file.Name.Name,
			folder: folder, imports: importsOf(file),
		}
		if places := finder.all(file); len(places) > 0 {
			found[name] = places
		}
	}
	return found, nil
}

// typesOf checks the types of a package. The go command builds what it imports.
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

	imports  map[string]string // the names in this file by path
	function string
	places   []place
}

func (f *operatorFinder) all(file *ast.File) []place {
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		f.function = functionName(function)
		loops := map[ast.Stmt]bool{}
		ast.Inspect(function.Body, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.BinaryExpr:
				f.binary(node)
			case *ast.ForStmt:
				loops[node.Post] = true
			case *ast.IncDecStmt:
				if !loops[node] { // no statement of a block
					f.incDec(node)
				}
			case *ast.UnaryExpr:
				if node.Op == token.SUB {
					f.add(node, f.typeOf(node), f.text(node.X))
				}
			}
			return true
		})
	}
	return f.places
}

func (f *operatorFinder) binary(node *ast.BinaryExpr) {
	of := f.typeOf(node)
	for _, operator := range operators[node.Op] {
		f.add(node, of, f.text(node.X)+" "+operator.String()+" "+f.text(node.Y))
	}
}

func (f *operatorFinder) incDec(node *ast.IncDecStmt) {
	turned := token.INC
	if node.Tok == token.INC {
		turned = token.DEC
	}
	f.statement(node, f.text(node.X)+turned.String())
}

// typeOf is the type of an expression as its package writes it; empty for a constant and for what is
// neither a condition nor a number.
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

// importsOf returns the names of imported packages by their path. The name of a package that has no
// other one here is the last part of its path.
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

func (f *operatorFinder) add(node ast.Expr, of, replacement string) {
	if of != "" {
		f.append(node, of, replacement, false)
	}
}

func (f *operatorFinder) statement(node ast.Stmt, replacement string) {
	f.append(node, "", replacement, true)
}

func (f *operatorFinder) append(node ast.Node, of, replacement string, statement bool) {
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

// text is the source of a node.
func (f *operatorFinder) text(node ast.Node) string {
	return f.source[f.set.Position(node.Pos()).Offset:f.set.Position(node.End()).Offset]
}
