package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	apiFolder      = "api/v1alpha1"
	managerPrefix  = "FieldManager"
	managersRecord = "docs/adr/0005-managers-of-node-status.md"
	apiPage        = "docs/reference/api.md"
	layoutRecord   = "docs/adr/0001-repository-layout.md"
	makefile       = "Makefile"
)

var (
	moduleList = regexp.MustCompile(`(?m)^(?:export\s+)?MODULES\s*[:?]?=(.*)$`)
	// moduleCount is a number of modules in a text.
	moduleCount = regexp.MustCompile(`(?i)\b(\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\s+(?:Go\s+|separate\s+)?modules\b`)
	numberWords = []string{"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
)

// checkFieldManagers checks that the decision record or the reference names each field manager of
// the API.
func checkFieldManagers(t *tree) ([]problem, error) {
	var pages strings.Builder
	for _, name := range []string{managersRecord, apiPage} {
		content, err := t.read(name)
		if err != nil {
			return nil, err
		}
		pages.WriteString(content)
	}
	var problems []problem
	for _, name := range t.goFiles(apiFolder) {
		content, err := t.read(name)
		if err != nil {
			return nil, err
		}
		managers, err := fieldManagers(name, content)
		if err != nil {
			return nil, err
		}
		for _, m := range managers {
			if !strings.Contains(pages.String(), "`"+m.value+"`") {
				problems = append(problems, problem{name, m.line, fmt.Sprintf("field manager `%s` is not named in %s; add it to its list", m.value, managersRecord)})
			}
		}
	}
	return problems, nil
}

type fieldManager struct {
	line  int
	value string
}

// fieldManagers returns the constants of a Go file that name field managers.
func fieldManagers(name, content string) ([]fieldManager, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, content, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse Go code: %w", err)
	}
	var found []fieldManager
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, id := range spec.Names {
			if !strings.HasPrefix(id.Name, managerPrefix) || i >= len(spec.Values) {
				continue
			}
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok {
				if value, err := strconv.Unquote(literal.Value); err == nil {
					found = append(found, fieldManager{files.Position(id.Pos()).Line, value})
				}
			}
		}
		return true
	})
	return found, nil
}

// checkModules checks that a number of modules in the record of the layout is that of the Makefile.
func checkModules(t *tree) ([]problem, error) {
	content, err := t.read(makefile)
	if err != nil {
		return nil, err
	}
	list := moduleList.FindStringSubmatch(content)
	if list == nil {
		return []problem{{makefile, 1, "the variable MODULES is missing; list the modules in it"}}, nil
	}
	modules := len(strings.Fields(list[1]))
	p, err := t.page(layoutRecord)
	if err != nil {
		return nil, err
	}
	var problems []problem
	for _, at := range moduleCount.FindAllStringSubmatchIndex(p.prose, -1) {
		if count := numberOf(p.prose[at[2]:at[3]]); count != modules {
			problems = append(problems, problem{p.name, p.lineAt(at[0]), fmt.Sprintf("%d modules are named, but MODULES in the %s lists %d; write the present number", count, makefile, modules)})
		}
	}
	return problems, nil
}

// numberOf returns the value of digits or of a word of numberWords.
func numberOf(text string) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return 2 + slices.Index(numberWords, strings.ToLower(text))
}
