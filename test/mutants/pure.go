package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// pureFile lists the packages without I/O and their harmless mutants, relative to the repository.
const pureFile = "test/mutants/pure.yaml"

// The unit tests of a package must run at least `minReachedPercent` percent of its operators, and find at
// least `minKilledPercent` percent of the mutants of those.
const (
	minReachedPercent = 95
	minKilledPercent  = 90
)

// A mutant may make a test endless. The tests are stopped after `timeoutFactor` times their duration
// without a mutant, but not before `minTimeout`.
const (
	timeoutFactor = 20
	minTimeout    = 10 * time.Second
)

// PurePackage is a package, or some files and functions of one, whose operators are all broken in turn.
type PurePackage struct {
	// Package is the folder, relative to the repository.
	Package string `json:"package"`
	// Files are the names of the files without I/O. Functions are further functions, as Type.Method
	// for a method. Without both the whole package has no I/O.
	Files     []string `json:"files,omitempty"`
	Functions []string `json:"functions,omitempty"`
	// Tests is a pattern of the tests to run, for a package with slow tests; empty means all. Skip
	// is a pattern of tests not to run.
	Tests string `json:"tests,omitempty"`
	Skip  string `json:"skip,omitempty"`
	// Harmless are the mutants that no test can find or needs to find.
	Harmless []Harmless `json:"harmless,omitempty"`
}

// Harmless is a mutant that may survive.
type Harmless struct {
	Function    string `json:"function"`
	Expression  string `json:"expression"`
	Replacement string `json:"replacement"`
	// Reason is why the fault does no harm.
	Reason string `json:"reason"`
}

func loadPure(path string) ([]PurePackage, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the pure packages: %w", err)
	}
	var all []PurePackage
	if err := yaml.UnmarshalStrict(content, &all); err != nil {
		return nil, fmt.Errorf("read the pure packages %s: %w", path, err)
	}
	for _, p := range all {
		for _, h := range p.Harmless {
			if h.Reason == "" {
				return nil, fmt.Errorf("%s: a harmless mutant of %s has no reason: %s", path, h.Function, h.Expression)
			}
		}
	}
	return all, nil
}

// verdicts counts the mutants of a package.
type verdicts struct {
	total, reached, killed int
	survivors              []Mutant
}

func runPure(ctx context.Context, root, only string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "mooring-mutants-")
	if err != nil {
		return fmt.Errorf("make a folder for the mutants: %w", err)
	}
	return errors.Join(judgePurePackages(ctx, root, dir, only, out), os.RemoveAll(dir))
}

// judgePurePackages breaks the operators of each package in turn. It returns an error when the unit tests
// find too few mutants.
func judgePurePackages(ctx context.Context, root, dir, only string, out io.Writer) error {
	all, err := loadPure(filepath.Join(root, pureFile))
	if err != nil {
		return err
	}
	var problems []error
	judged := 0
	for _, p := range all {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.Package) {
			continue
		}
		v, err := p.runMutants(ctx, root, filepath.Join(dir, strings.ReplaceAll(p.Package, "/", "-")), out)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Package, err)
		}
		problems = append(problems, p.report(v, out))
		judged++
	}
	if judged == 0 {
		return fmt.Errorf("no package is called %q: see %s", only, pureFile)
	}
	return errors.Join(problems...)
}

func (p PurePackage) runMutants(ctx context.Context, root, dir string, out io.Writer) (v verdicts, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return v, err
	}
	files, err := p.operatorMutants(ctx, root)
	if err != nil {
		return v, err
	}
	overlay, copies, err := instrumentPlaces(root, dir, files)
	if err != nil {
		return v, err
	}
	r := &runner{root: root, dir: dir, overlay: overlay, copies: copies, built: map[string]string{}}
	binary, err := r.testBinary(ctx, p.Package)
	if err != nil {
		return v, err
	}
	t := testRun{pure: p, root: root, binary: binary, timeout: time.Hour}
	began := time.Now()
	if passed, _, output, err := t.run(ctx, ""); err != nil || !passed {
		return v, fmt.Errorf("the tests fail without a mutant: %w\n%s", err, output)
	}
	t.timeout = max(minTimeout, timeoutFactor*time.Since(began))
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, place := range files[file] {
			passed, reached, _, err := t.run(ctx, place.mutant.Name)
			if err != nil {
				return v, err
			}
			v.count(place.mutant, passed, reached, out)
		}
	}
	return v, nil
}

func (v *verdicts) count(m Mutant, passed, reached bool, out io.Writer) {
	v.total++
	verdict := "not reached"
	if reached {
		v.reached++
		verdict = "SURVIVES"
	}
	if reached && !passed {
		v.killed++
		return
	}
	v.survivors = append(v.survivors, m)
	fmt.Fprintf(out, "%-11s %s %s: %s -> %s\n", verdict, m.Name, m.Function, oneLine(m.Expression), oneLine(m.Replacement))
}

// testRun runs the tests of a package with one mutant at a time.
type testRun struct {
	pure         PurePackage
	root, binary string
	timeout      time.Duration
}

// run runs the tests with one mutant active; "" is none.
func (t testRun) run(ctx context.Context, mutant string) (passed, reached bool, output []byte, err error) {
	mark := t.binary + ".reached"
	if err := os.RemoveAll(mark); err != nil {
		return false, false, nil, err
	}
	command := exec.CommandContext(ctx, t.binary, "-test.failfast", "-test.short", "-test.timeout="+t.timeout.String(),
		"-test.run="+t.pure.Tests, "-test.skip="+t.pure.Skip)
	command.Dir = filepath.Join(t.root, t.pure.Package)
	command.Env = append(os.Environ(), mutantVariable+"="+mutant, reachedVariable+"="+mark, "RAPID_NOFAILFILE=true")
	output, err = command.CombinedOutput()
	_, missing := os.Stat(mark)
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, false, output, ctx.Err()
	case errors.As(err, &failed):
		return false, missing == nil, output, nil
	case err != nil:
		return false, false, output, err
	}
	return true, missing == nil, output, nil
}

// report prints the figures of a package. It returns an error for figures that are too low, for a
// survivor without a reason, and for a reason without a survivor.
func (p PurePackage) report(v verdicts, out io.Writer) error {
	if v.total == 0 {
		return fmt.Errorf("package %s has no operator", p.Package)
	}
	reached, killed := 100*v.reached/v.total, 100*v.killed/max(1, v.reached)
	fmt.Fprintf(out, "%s: %d mutants, %d %% reached, %d %% of them killed\n", p.Package, v.total, reached, killed)
	var problems []error
	if reached < minReachedPercent || killed < minKilledPercent {
		problems = append(problems, fmt.Errorf("package %s: want at least %d %% reached and %d %% of them killed", p.Package, minReachedPercent, minKilledPercent))
	}
	for _, m := range v.survivors {
		if !slices.ContainsFunc(p.Harmless, func(h Harmless) bool { return h.is(m) }) {
			problems = append(problems, fmt.Errorf("%s survives: %s: %s -> %s: write a test that fails with it, or its reason in %s",
				m.Name, m.Function, oneLine(m.Expression), oneLine(m.Replacement), pureFile))
		}
	}
	for _, h := range p.Harmless {
		if !slices.ContainsFunc(v.survivors, h.is) {
			problems = append(problems, fmt.Errorf("%s: no mutant survives: %s: %s -> %s: delete it", pureFile, h.Function, h.Expression, h.Replacement))
		}
	}
	return errors.Join(problems...)
}

func (h Harmless) is(m Mutant) bool {
	return h.Function == m.Function && oneLine(h.Expression) == oneLine(m.Expression) && oneLine(h.Replacement) == oneLine(m.Replacement)
}

// oneLine returns code on one line, for output.
func oneLine(code string) string { return strings.Join(strings.Fields(code), " ") }
