package main

import (
	"slices"
	"testing"
)

func TestTheTableOfFoldersCoversThePackages(t *testing.T) {
	const table = "# A\n\n## Folders\n\n| folder | content |\n|---|---|\n"
	for name, c := range map[string]struct {
		rows     string
		packages []string
		want     []string
	}{
		"a row covers the folders below it": {"| `cmd` | `not/a/folder` |\n", []string{"cmd/a", "cmd/a/b"}, nil},
		"a list in braces":                  {"| `test/{a,b}`, `hack` | x |\n", []string{"test/a/deep", "test/b", "hack"}, nil},
		"other folders need no row":         {"| `cmd` | x |\n", []string{"cmd", "scripts", "internal/a/testdata/b"}, nil},
		"nested modules need no row":        {"| `cmd` | x |\n", []string{"cmd", "test/module"}, nil},
		"a missing folder": {"| `cmd` | x |\n| `test/{a,b}` | x |\n", []string{"cmd", "test/a"},
			[]string{"docs/architecture.md:8: the repository has no folder test/b; correct or remove it"}},
		"a package without a row": {"| `cmd` | x |\n", []string{"cmd", "hack/a", "hack/b"},
			[]string{"docs/architecture.md:3: the table has no row for hack/a; add one", "docs/architecture.md:3: the table has no row for hack/b; add one"}},
		"children of internal each need a row": {"| `internal` | x |\n| `internal/gateway` | x |\n", []string{"internal/gateway/a/deep", "internal/b"},
			[]string{"docs/architecture.md:3: the table has no row for internal/b; add one", "docs/architecture.md:3: the table has no row for internal/gateway/a; add one"}},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{architecturePage: table + c.rows, "test/module/go.mod": "module m\n"}
			for _, folder := range c.packages {
				files[folder+"/a.go"] = "package a\n"
			}
			expectProblems(t, checkFolders, files, c.want...)
		})
	}
}

func TestAPageWithoutTheTableIsAProblem(t *testing.T) {
	expectProblems(t, checkFolders, map[string]string{architecturePage: "# A\n"},
		`docs/architecture.md:1: the page has no section "Folders"; put the table of folders there`)
}

func TestBraceListsAreExpanded(t *testing.T) {
	for pattern, want := range map[string][]string{
		"a":           {"a"},
		"a/":          {"a"},
		"a/{b, c}":    {"a/b", "a/c"},
		"{a,b}/{c,d}": {"a/c", "a/d", "b/c", "b/d"},
	} {
		if got := expandBraces(pattern); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
	}
}
