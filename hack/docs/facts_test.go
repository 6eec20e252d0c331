package main

import "testing"

func TestEachFieldManagerIsNamed(t *testing.T) {
	const constants = "package v1alpha1\n\nconst (\n\tFieldManagerA = \"a\"\n\tFieldManagerB = \"b\"\n\tOther = \"c\"\n)\n"
	for name, c := range map[string]struct {
		record, page string
		want         []string
	}{
		"in both pages":  {"- `a`\n", "`b`", nil},
		"one is missing": {"- `a`, `bc`\n", "b", []string{"api/v1alpha1/names.go:5: field manager `b` is not named in docs/adr/0005-managers-of-node-status.md; add it to its list"}},
	} {
		t.Run(name, func(t *testing.T) {
			expectProblems(t, checkFieldManagers, map[string]string{managersRecord: c.record, apiPage: c.page, "api/v1alpha1/names.go": constants}, c.want...)
		})
	}
}

func TestANumberOfModulesIsThatOfTheMakefile(t *testing.T) {
	for name, c := range map[string]struct {
		makefile, record string
		want             []string
	}{
		"no number":       {"export MODULES := . a b\n", "Tools have separate modules.\n", nil},
		"the same number": {"MODULES = . a b\n", "There are three Go modules, 3 modules.\n", nil},
		"another number":  {"MODULES := . a b\n", "# A\nThere are Nine modules.\n", []string{"docs/adr/0001-repository-layout.md:2: 9 modules are named, but MODULES in the Makefile lists 3; write the present number"}},
		"no variable":     {"all:\n", "", []string{"Makefile:1: the variable MODULES is missing; list the modules in it"}},
	} {
		t.Run(name, func(t *testing.T) {
			expectProblems(t, checkModules, map[string]string{makefile: c.makefile, layoutRecord: c.record}, c.want...)
		})
	}
}
