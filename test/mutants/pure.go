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

// At least so many of a hundred operators must run in the unit tests of their package, and so many
// mutants of those must be found.
const (
	leastReached = 95
	leastKilled  = 90
)

// pureTimeout ends the tests of a package with a mutant in force: it may never end.
const pureTimeout = 2 * time.Minute

// Pure is a package, or files of one, whose operators are all broken in turn.
type Pure struct {
	// Package is the folder, relative to the repository.
	Package string `json:"package"`
	// Files are the names of the files without I/O; none means that the whole package has none.
	Files []string `json:"files,omitempty"`
	// Harmless are the mutants that no test can or need find.
	Harmless []Harmless `json:"harmless,omitempty"`
}

// Harmless is a mutant that may survive.
type Harmless struct {
	Function    string `json:"function"`
	Expression  string `json:"expression"`
	Replacement string `json:"replacement"`
	// Reason is why the fault harms nobody.
	Reason string `json:"reason"`
}

func loadPure(path string) ([]Pure, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the pure packages: %w", err)
	}
	var all []Pure
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
	all, reached, killed int
	survivors            []Mutant
}

func runPure(ctx context.Context, root, only string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "mooring-mutants-")
	if err != nil {
		return fmt.Errorf("make a folder for the mutants: %w", err)
	}
	return errors.Join(judgePure(ctx, root, dir, only, out), os.RemoveAll(dir))
}

// judgePure breaks the operators of each package in turn and fails when its unit tests notice too few.
func judgePure(ctx context.Context, root, dir, only string, out io.Writer) error {
	all, err := loadPure(filepath.Join(root, pureFile))
	if err != nil {
		return err
	}
	var problems []error
	for _, p := range all {
		if !selected(p.Package, only) {
			continue
		}
		v, err := p.judge(ctx, root, filepath.Join(dir, strings.ReplaceAll(p.Package, "/", "-")), out)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Package, err)
		}
		problems = append(problems, p.report(v, out))
	}
	return errors.Join(problems...)
}

func (p Pure) judge(ctx context.Context, root, dir string, out io.Writer) (v verdicts, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return v, err
	}
	files, err := operatorMutants(ctx, root, p.Package, p.Files)
	if err != nil {
		return v, err
	}
	overlay, copies, err := weavePlaces(root, dir, files)
	if err != nil {
		return v, err
	}
	r := &runner{root: root, dir: dir, overlay: overlay, copies: copies, built: map[string]string{}}
	binary, err := r.binary(ctx, p.Package)
	if err != nil {
		return v, err
	}
	if passed, _, output, err := p.try(ctx, root, binary, ""); err != nil || !passed {
		return v, fmt.Errorf("the tests fail without a mutant: %w\n%s", err, output)
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, place := range files[file] {
			passed, reached, _, err := p.try(ctx, root, binary, place.mutant.Name)
			if err != nil {
				return v, err
			}
			v.count(place.mutant, passed, reached, out)
		}
	}
	return v, nil
}

func (v *verdicts) count(m Mutant, passed, reached bool, out io.Writer) {
	v.all++
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

// try runs the tests of a package with one mutant in force; empty is none.
func (p Pure) try(ctx context.Context, root, binary, mutant string) (passed, reached bool, output []byte, err error) {
	mark := binary + ".reached"
	if err := os.RemoveAll(mark); err != nil {
		return false, false, nil, err
	}
	command := exec.CommandContext(ctx, binary, "-test.failfast", "-test.short", "-test.timeout="+pureTimeout.String())
	command.Dir = filepath.Join(root, p.Package)
	command.Env = append(os.Environ(), variable+"="+mutant, reachedVariable+"="+mark, "RAPID_NOFAILFILE=true")
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

// report prints the figures of a package, and fails for too low ones, for a survivor without a reason
// and for a reason without a survivor.
func (p Pure) report(v verdicts, out io.Writer) error {
	if v.all == 0 {
		return fmt.Errorf("package %s has no operator", p.Package)
	}
	reached, killed := 100*v.reached/v.all, 100*v.killed/max(1, v.reached)
	fmt.Fprintf(out, "%s: %d mutants, %d %% reached, %d %% of them killed\n", p.Package, v.all, reached, killed)
	var problems []error
	if reached < leastReached || killed < leastKilled {
		problems = append(problems, fmt.Errorf("package %s: want at least %d %% reached and %d %% of them killed", p.Package, leastReached, leastKilled))
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

// oneLine is code for a line of output.
func oneLine(code string) string { return strings.Join(strings.Fields(code), " ") }
