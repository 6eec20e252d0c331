package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const calculation = `package p

import clock "time"

const limit = 2 * 3

func Late(age clock.Duration, names []string) (int, bool) {
	n := 0
	for i := 0; i < len(names); i++ {
		n++
	}
	switch {
	case age > clock.Second && names[0] == "a"+names[1]:
		return -n, true
	}
	return n - limit, false
}

func Sum(n int) int {
	n += limit
	if n -= n; n == 0 {
		n *= 2
	}
	return max(n, 0)
}
`

// module creates a module with one package and its test.
func module(t *testing.T, test string) (root string) {
	t.Helper()
	root = t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "p"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"go.mod": "module example.test\n\ngo 1.24\n", "p/p.go": calculation, "p/p_test.go": "package p\n\nimport \"testing\"\n\n" + test} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestEachOperatorThatIsNoConstantHasItsMutants(t *testing.T) {
	found, err := PurePackage{Package: "p"}.operatorMutants(t.Context(), module(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range found["p/p.go"] {
		got = append(got, p.mutant.Expression+" -> "+p.mutant.Replacement)
	}
	want := []string{
		"i < len(names) -> i >= len(names)", "i < len(names) -> i <= len(names)", "n++ -> n--",
		"age > clock.Second -> age <= clock.Second", "age > clock.Second -> age >= clock.Second",
		`names[0] == "a"+names[1] -> names[0] != "a"+names[1]`,
		"-n -> n", "n - limit -> n + limit",
		"n += limit -> n -= limit", "n -> -(n)", "n == 0 -> n != 0", "n *= 2 -> n /= 2", "max(n, 0) -> min(n, 0)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%q\nwant:\n%q", got, want)
	}
}

func TestAnEntryChoosesFilesFunctionsAndTests(t *testing.T) {
	root := module(t, "func TestSum(t *testing.T) {}\n\nfunc TestSumFails(t *testing.T) { t.Fail() }\n")
	for name, c := range map[string]struct {
		entry   PurePackage
		mutants int // 0 for an error
	}{
		"the whole package":          {PurePackage{Skip: "Fails"}, 13},
		"a file":                     {PurePackage{Files: []string{"p.go"}, Skip: "Fails"}, 13},
		"a function":                 {PurePackage{Functions: []string{"Sum"}, Tests: "^TestSum$"}, 5},
		"a file that does not exist": {PurePackage{Files: []string{"q.go"}, Skip: "Fails"}, 0},
		"a function without any":     {PurePackage{Functions: []string{"Sum", "Absent"}, Skip: "Fails"}, 0},
		"a test that fails anyway":   {PurePackage{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c.entry.Package = "p"
			v, err := c.entry.runMutants(t.Context(), root, t.TempDir(), io.Discard)
			if v.total != c.mutants || (err == nil) != (c.mutants > 0) {
				t.Errorf("%d mutants, %v, want %d", v.total, err, c.mutants)
			}
		})
	}
}

func TestASurvivorNeedsAReasonAndAReasonASurvivor(t *testing.T) {
	root := module(t, `func TestLate(t *testing.T) {
	if n, late := Late(2, []string{"ab", "b"}); n != 2-limit || late {
		t.Error(n, late)
	}
}
`)
	var out bytes.Buffer
	v, err := PurePackage{Package: "p", Functions: []string{"Late"}}.runMutants(t.Context(), root, t.TempDir(), &out)
	if err != nil {
		t.Fatal(err)
	}
	if v.total != 8 || v.reached != 6 || v.killed != 5 {
		t.Errorf("%d mutants, %d reached, %d killed, want 8, 6, 5:\n%s", v.total, v.reached, v.killed, &out)
	}
	harmless := []Harmless{
		{"Late", "age > clock.Second", "age >= clock.Second", "for the test"},
		{"Late", `names[0] == "a"+names[1]`, `names[0] != "a"+names[1]`, "for the test"},
		{"Late", "-n", "n", "for the test"},
	}
	v.total, v.reached, v.killed = 100, minReachedPercent, minReachedPercent // the figures do not matter here
	for name, c := range map[string]struct {
		listed []Harmless
		ok     bool
	}{
		"all listed":        {harmless, true},
		"one not listed":    {harmless[1:], false},
		"one that is found": {append(slices.Clone(harmless), Harmless{"Late", "n++", "n--", "for the test"}), false},
	} {
		if err := (PurePackage{Package: "p", Harmless: c.listed}).report(v, &out); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	v.killed = minKilledPercent/2 + 1
	if err := (PurePackage{Package: "p", Harmless: harmless}).report(v, &out); err == nil {
		t.Error("half of the mutants live, and that is no error")
	}
}
