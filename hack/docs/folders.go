package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

const foldersTitle = "Folders"

var (
	// documentedRoots are the folders whose Go packages the table of folders must cover.
	documentedRoots = []string{"api", "cmd", "controllers", "internal", "nodeagent", "config", "hack", "test"}
	// listedParents are the folders whose direct children each have a row of their own. Elsewhere a
	// row covers the folders below its own.
	listedParents = []string{"internal", "internal/gateway", "nodeagent", "test"}

	backquoted = regexp.MustCompile("`([^`]+)`")
	braceList  = regexp.MustCompile(`\{([^{}]*)\}`)
)

// checkFolders checks that the folders in the table of docs/architecture.md exist, and that the
// table covers every package of the root module.
func checkFolders(t *tree) ([]problem, error) {
	p, err := t.page(architecturePage)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(p.sections(), func(s section) bool { return s.title == foldersTitle })
	if at < 0 {
		return []problem{{p.name, 1, fmt.Sprintf("the page has no section %q; put the table of folders there", foldersTitle)}}, nil
	}
	table := p.sections()[at]
	var problems []problem
	rows := map[string]bool{}
	for _, row := range table.rows() {
		for _, name := range backquoted.FindAllStringSubmatch(row.cells()[0], -1) {
			for _, folder := range expandBraces(name[1]) {
				rows[folder] = true
				if !t.folders[folder] {
					problems = append(problems, problem{p.name, row.line, fmt.Sprintf("the repository has no folder %s; correct or remove it", folder)})
				}
			}
		}
	}
	for _, missing := range missingRows(t.packages(), rows) {
		problems = append(problems, problem{p.name, table.line, fmt.Sprintf("the table has no row for %s; add one", missing)})
	}
	return problems, nil
}

// missingRows returns the folders that need a row, so that the table covers the packages.
func missingRows(packages []string, rows map[string]bool) []string {
	var missing []string
	for _, folder := range packages {
		if root, _, _ := strings.Cut(folder, "/"); !slices.Contains(documentedRoots, root) {
			continue
		}
		for _, parent := range listedParents {
			if below, ok := strings.CutPrefix(folder, parent+"/"); ok {
				child, _, _ := strings.Cut(below, "/")
				if listed := path.Join(parent, child); !rows[listed] {
					missing = append(missing, listed)
				}
			}
		}
		if !isCovered(folder, rows) {
			missing = append(missing, folder)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// isCovered reports whether a folder or a parent of it has a row.
func isCovered(folder string, rows map[string]bool) bool {
	for ; folder != "."; folder = path.Dir(folder) {
		if rows[folder] {
			return true
		}
	}
	return false
}

// expandBraces returns the folders that a pattern like a/{b,c} names.
func expandBraces(pattern string) []string {
	at := braceList.FindStringSubmatchIndex(pattern)
	if at == nil {
		return []string{strings.TrimSuffix(pattern, "/")}
	}
	var all []string
	for choice := range strings.SplitSeq(pattern[at[2]:at[3]], ",") {
		all = append(all, expandBraces(pattern[:at[0]]+strings.TrimSpace(choice)+pattern[at[1]:])...)
	}
	return all
}
