package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const source = `package p

type T struct{}

func (t *T) Open(age int) bool {
	if age >= 3 || age < 0 {
		return false
	}
	return age == 2 || age == 2
}

func Open(age int) bool { return age >= 3 }
`

func TestMutantsStandBesideTheCodeThatTheyBreak(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	_, copies, err := instrument(dir, copied, []Mutant{
		{Name: "outer", Package: ".", Function: "T.Open", Expression: "age>=3 || age<0", Replacement: "false"},
		{Name: "inner", Package: ".", Function: "T.Open", Expression: "age < 0", Replacement: "true"},
		{Name: "same", Package: ".", Function: "T.Open", Expression: "age < 0", Replacement: "age <= 0"},
		{Name: "statement", Package: ".", Function: "T.Open", Expression: "return false", Replacement: "return true"},
		{Name: "value", Package: ".", Function: "Open", Expression: "3", Replacement: "4", Type: "int"},
	})
	if err != nil {
		t.Fatal(err)
	}
	instrumented, err := os.ReadFile(copies[filepath.Join(dir, "p.go")])
	if err != nil {
		t.Fatal(err)
	}
	beside := func(typ, name, faulty, good string) string { // equals Mutant.switchCode
		return "func() " + typ + " { if isMutant(\"" + name + "\") { return " + faulty + " }; return " + good + " }()"
	}
	want := strings.NewReplacer(
		"age >= 3 || age < 0", beside("bool", "outer", "false", "age >= 3 || "+beside("bool", "inner", "true", beside("bool", "same", "age <= 0", "age < 0"))),
		"return false", `if isMutant("statement") { return true } else { return false }`,
		"{ return age >= 3 }", "{ return age >= "+beside("int", "value", "4", "3")+" }",
	).Replace(source)
	if string(instrumented) != want {
		t.Errorf("got:\n%s\nwant:\n%s", instrumented, want)
	}
}

func TestAMutantThatNoLongerAppliesIsAnError(t *testing.T) {
	for name, m := range map[string]Mutant{
		"expression gone":   {Function: "T.Open", Expression: "age >= 4", Replacement: "false"},
		"expression twice":  {Function: "T.Open", Expression: "age == 2", Replacement: "false"},
		"part of the words": {Function: "T.Open", Expression: "ge >= 3", Replacement: "false"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := m.findPlaceIn([]byte(source)); err == nil {
				t.Error("want an error")
			}
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Mutant{Package: ".", Function: "T.Close", Expression: "x"}).findPlace(dir); err == nil {
		t.Error("a function that does not exist: want an error")
	}
}

func TestTheCatalogueNamesEveryField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalogue.yaml")
	if err := os.WriteFile(path, []byte("- name: incomplete\n  promise: none\n  with: [another]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := loadCatalogue(path)
	for _, want := range []string{"mutant incomplete: expression is empty", "mutant incomplete: with: another is not"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %s", err, want)
		}
	}
}

// TestAHandfulOfMutantsIsKilled runs a few mutants of pure packages; make mutants runs all.
func TestAHandfulOfMutantsIsKilled(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), options{only: "leader-proof-settle-delay,claim-never-needed,gate-stale"}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "3 of 3 killed") {
		t.Errorf("got %s", out.String())
	}
}

// unguarded is a mutant that its test does not find.
var unguarded = Mutant{Name: "unguarded", Promise: "nothing", Package: "internal/dispatch", Function: "expiredMessage", Type: "string",
	Expression: `"not started within %d s of its creation (spec.expirySeconds)"`, Replacement: `"%d"`,
	Unit: Test{Package: "internal/dispatch", Name: "TestTerminalPhasesAreAllThatAreTerminal"}}

// runnerOf returns a runner for mutants of this repository.
func runnerOf(t *testing.T, mutants ...Mutant) *runner {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRunner(root, t.TempDir(), mutants)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestASurvivorIsNamed shows that a fault that no test finds fails the run.
func TestASurvivorIsNamed(t *testing.T) {
	var out strings.Builder
	err := runJobs(t.Context(), runnerOf(t, unguarded), jobs([]Mutant{unguarded}, options{}), 1, &out)
	if err == nil || !strings.Contains(err.Error(), "unguarded survives") {
		t.Errorf("err = %v", err)
	}
}

// TestMutantsAreInForceTogether shows that the mutants of With are active together with their
// mutant, and alone in the run that must pass.
func TestMutantsAreInForceTogether(t *testing.T) {
	guarded := Mutant{Name: "guarded", Package: "internal/dispatch", Function: "TerminalPhases", Type: "v1alpha1.DispatchPhase",
		Expression: "v1alpha1.DispatchFailed", Replacement: "v1alpha1.DispatchQueued", Process: unguarded.Unit}
	for name, c := range map[string]struct {
		with []string
		want string
	}{
		"a mutant that the test does not find": {[]string{unguarded.Name}, ""},
		"a mutant that the test finds":         {[]string{guarded.Name}, "fails without mutant guarded"},
	} {
		guarded.With = c.with
		var out strings.Builder
		err := runJobs(t.Context(), runnerOf(t, guarded, unguarded), jobs([]Mutant{guarded}, options{noUnit: true, process: true}), 1, &out)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want %q\n%s", name, err, c.want, out.String())
		}
	}
}
