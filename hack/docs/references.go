package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	// testsPage names a test of each folder.
	testsPage   = "test/README.md"
	lifePrefix  = "Life of"
	whereTitle  = "Where is ..."
	identifiers = "`[A-Za-z_]\\w*(?:\\.[A-Za-z_]\\w*)?`"
	// minReferences guards against a form of the page that this check does not read any more.
	minReferences = 60
)

var (
	// reference is one or several functions, methods or types in backquotes, followed by their
	// folder or file.
	reference  = regexp.MustCompile("(" + identifiers + "(?:(?:,\\s+|,?\\s+and\\s+)" + identifiers + ")*)\\s+\\(([\\w./-]+)\\)")
	identifier = regexp.MustCompile(identifiers)
)

// checkReferences checks that each function that docs/architecture.md and test/README.md name
// exists in its folder or file. Each step and each row of the table of places must name one.
func checkReferences(t *tree) ([]problem, error) {
	found := declarations{tree: t, byPlace: map[string]map[string]bool{}}
	var problems []problem
	for _, name := range []string{architecturePage, testsPage} {
		p, err := t.page(name)
		if err != nil {
			return nil, err
		}
		missing, count, err := found.checkPage(p)
		if err != nil {
			return nil, err
		}
		problems = append(problems, missing...)
		if name == architecturePage && count < minReferences {
			problems = append(problems, problem{name, 1, fmt.Sprintf("only %d functions are named as `Name` (folder), at least %d are expected; use this form", count, minReferences)})
		}
		problems = append(problems, itemsWithoutReference(p)...)
	}
	return problems, nil
}

func itemsWithoutReference(p *page) []problem {
	var problems []problem
	for _, s := range p.sections() {
		var items []item
		switch {
		case strings.HasPrefix(s.title, lifePrefix):
			items = s.steps()
		case s.title == whereTitle:
			items = s.rows()
		default:
			continue
		}
		for _, i := range items {
			if !reference.MatchString(i.text) {
				problems = append(problems, problem{p.name, i.line, "this names no function; name the function that does it, as `Name` (folder)"})
			}
		}
	}
	return problems
}

// declarations holds the names that are declared in folders and files, as far as they were read.
type declarations struct {
	tree    *tree
	byPlace map[string]map[string]bool
}

// checkPage returns the problems of the functions that a page names, and their number.
func (d declarations) checkPage(p *page) (problems []problem, count int, err error) {
	for _, at := range reference.FindAllStringSubmatchIndex(p.text, -1) {
		place := p.text[at[4]:at[5]]
		for _, name := range identifier.FindAllStringIndex(p.text[at[2]:at[3]], -1) {
			count++
			text, err := d.check(strings.Trim(p.text[at[2]+name[0]:at[2]+name[1]], "`"), place)
			if err != nil {
				return nil, 0, err
			}
			if text != "" {
				problems = append(problems, problem{p.name, p.lineAt(at[2] + name[0]), text})
			}
		}
	}
	return problems, count, nil
}

// check returns the problem of a name that should be declared in place, or "".
func (d declarations) check(name, place string) (string, error) {
	declared, err := d.in(place)
	switch {
	case err != nil:
		return "", err
	case declared == nil:
		return fmt.Sprintf("`%s` (%s): the repository has no such folder or file with Go code; correct the path", name, place), nil
	case declared[name]:
		return "", nil
	}
	text := fmt.Sprintf("%s declares no function, method or type `%s`; write the present name", place, name)
	if similar := similarNames(declared, name); len(similar) > 0 {
		text += ", for example " + strings.Join(similar, ", ")
	}
	return text, nil
}

// similarNames returns the declared names with the same last part.
func similarNames(declared map[string]bool, name string) []string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	var similar []string
	for _, other := range slices.Sorted(maps.Keys(declared)) {
		if strings.EqualFold(other[strings.LastIndexByte(other, '.')+1:], last) {
			similar = append(similar, other)
		}
	}
	return similar
}

// in returns the names that a folder or a file declares, and nil if it holds no Go code.
func (d declarations) in(place string) (map[string]bool, error) {
	if known, ok := d.byPlace[place]; ok {
		return known, nil
	}
	files := d.tree.goFiles(place)
	if path.Ext(place) == ".go" && d.tree.has(place) {
		files = []string{place}
	}
	var declared map[string]bool
	for _, name := range files {
		names, err := declaredNames(d.tree.fs, name)
		if err != nil {
			return nil, err
		}
		if declared == nil {
			declared = map[string]bool{}
		}
		for _, n := range names {
			declared[n] = true
		}
	}
	d.byPlace[place] = declared
	return declared, nil
}

// declaredNames returns the functions, the types and, as Type.Method, the methods of a Go file. The
// methods of an interface belong to it. Build tags are ignored.
func declaredNames(from fs.FS, name string) ([]string, error) {
	content, err := fs.ReadFile(from, name)
	if err != nil {
		return nil, fmt.Errorf("read a file of the tree: %w", err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, content, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse Go code: %w", err)
	}
	var names []string
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			names = append(names, functionName(d))
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					names = append(names, typeNames(s)...)
				}
			}
		}
	}
	return names, nil
}

func functionName(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	receiver := f.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}

func typeNames(s *ast.TypeSpec) []string {
	names := []string{s.Name.Name}
	if i, ok := s.Type.(*ast.InterfaceType); ok {
		for _, method := range i.Methods.List {
			for _, name := range method.Names {
				names = append(names, s.Name.Name+"."+name.Name)
			}
		}
	}
	return names
}
