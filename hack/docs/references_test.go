package main

import (
	"strings"
	"testing"
)

const goCode = `package a

type Reader interface { Read() error }
type list[T any] struct{}
func (l *list[T]) add(T) {}
func begin() {}
`

// enough is a section that names as many functions as a page must.
var enough = "## Enough\n" + strings.Repeat("`begin` (a)\n", minReferences)

func TestNamedFunctionsExistInTheirPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"function in a folder":      {"`begin` (a)", ""},
		"function in a file":        {"`begin` (a/a.go)", ""},
		"function of a test":        {"`TestA` (a)", ""},
		"method and type":           {"`list.add`, `list` and\n`Reader.Read`\n(a)", ""},
		"no function":               {"`a/b` (c) and `--flag` (x) and `begin (a)`", ""},
		"missing function":          {"# A\n`begin` and `end` (a)", "docs/architecture.md:2: a declares no function, method or type `end`; write the present name"},
		"function of another file":  {"`TestA` (a/a.go)", "docs/architecture.md:1: a/a.go declares no function, method or type `TestA`; write the present name"},
		"method without its type":   {"`add` (a)", "docs/architecture.md:1: a declares no function, method or type `add`; write the present name, for example list.add"},
		"missing folder":            {"`begin` (b)", "docs/architecture.md:1: `begin` (b): the repository has no such folder or file with Go code; correct the path"},
		"step without a function":   {"## Life of a thing\n1. It begins:\n   `begin` (a).\n2. It ends.\n\nMore.", "docs/architecture.md:4: this names no function; name the function that does it, as `Name` (folder)"},
		"row without a function":    {"## Where is ...\n| a | b |\n|---|---|\n| x | `begin` (a) |\n| y | `begin` |\n", "docs/architecture.md:5: this names no function; name the function that does it, as `Name` (folder)"},
		"other sections need none":  {"## Rights\n1. A step.\n", ""},
		"code blocks are not prose": {"```\n`end` (a)\n```", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			expectProblems(t, checkReferences, map[string]string{
				architecturePage: c.text + "\n" + enough, testsPage: "`TestA` (a)",
				"a/a.go": goCode, "a/a_test.go": "package a\nfunc TestA() {}\n",
			}, want...)
		})
	}
}

func TestAPageThatNamesFewFunctionsIsNotReadAsItShould(t *testing.T) {
	expectProblems(t, checkReferences, map[string]string{architecturePage: "`begin` (a)\n", testsPage: "", "a/a.go": goCode},
		"docs/architecture.md:1: only 1 functions are named as `Name` (folder), at least 60 are expected; use this form")
}

func TestNamedTestsExist(t *testing.T) {
	expectProblems(t, checkReferences, map[string]string{architecturePage: enough, testsPage: "| a | `TestA` (a) |", "a/a.go": goCode},
		"test/README.md:1: a declares no function, method or type `TestA`; write the present name")
}
