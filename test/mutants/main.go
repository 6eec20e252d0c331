// Command mutants proves that the tests guard the lines of code that keep a promise. It breaks each
// line of its catalogue, runs the tests that the catalogue names for it, and prints every mutant
// that survives.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mooring-dev/mooring/hack/dev/controlplane"
)

// catalogueFile is the list of mutants, relative to the repository.
const catalogueFile = "test/mutants/catalogue.yaml"

type options struct {
	check, noUnit, process, pure bool
	// only selects mutants by name, in selects the folder of the tests.
	only, in string
}

func main() {
	var o options
	flag.BoolVar(&o.check, "check", false, "only check that every mutant applies and compiles and that its tests exist")
	flag.BoolVar(&o.process, "process", false, "run the tests with real processes as well; they share the cluster of $MOORING_TEST_STATE")
	flag.BoolVar(&o.noUnit, "no-unit", false, "do not run the unit tests")
	flag.BoolVar(&o.pure, "pure", false, "break each operator of the packages without I/O instead and count the mutants that their unit tests find")
	flag.StringVar(&o.only, "only", "", "comma-separated names or prefixes of the mutants to run, or the packages with --pure (default all)")
	flag.StringVar(&o.in, "in", "", "run only the tests in this folder (default all)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	root, err := controlplane.Root()
	if err != nil {
		return err
	}
	if o.pure {
		return runPure(ctx, root, o.only, out)
	}
	all, err := loadCatalogue(filepath.Join(root, catalogueFile))
	if err != nil {
		return err
	}
	mutants := slices.DeleteFunc(slices.Clone(all), func(m Mutant) bool { return !selected(m.Name, o.only) })
	if len(mutants) == 0 {
		return fmt.Errorf("no mutant is called %q: see %s", o.only, catalogueFile)
	}
	dir, err := os.MkdirTemp("", "mooring-mutants-")
	if err != nil {
		return fmt.Errorf("make a folder for the mutants: %w", err)
	}
	r, err := newRunner(root, dir, withDependencies(mutants, all))
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	if o.check {
		err = check(ctx, r, mutants, out)
	} else {
		err = runJobs(ctx, r, jobs(mutants, o), len(mutants), out)
	}
	if err != nil {
		return err // the folder shows the code that did not compile
	}
	return os.RemoveAll(dir)
}

// withDependencies returns the mutants and the others of all that are active together with one of them.
func withDependencies(mutants, all []Mutant) []Mutant {
	return slices.DeleteFunc(slices.Clone(all), func(m Mutant) bool {
		return !slices.ContainsFunc(mutants, func(one Mutant) bool { return one.Name == m.Name || slices.Contains(one.With, m.Name) })
	})
}

func selected(name, only string) bool {
	if only == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(only, ","), func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// check returns an error when a mutant does not apply or compile, or names a test that does not
// exist.
func check(ctx context.Context, r *runner, mutants []Mutant, out io.Writer) error {
	problems := []error{r.compile(ctx)}
	gaps := 0
	for _, m := range mutants {
		for _, test := range []Test{m.Unit, m.Process} {
			if test.Name != "" && !testExists(r.root, test) {
				problems = append(problems, fmt.Errorf("mutant %s: there is no test %s in %s", m.Name, test.Name, test.Package))
			}
		}
		if m.Gap != "" {
			gaps++
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	fmt.Fprintf(out, "mutants: %d apply and compile; %d cannot be found by tests with processes\n", len(mutants), gaps)
	return nil
}

// testExists reports whether a file of the folder declares the test function.
func testExists(root string, test Test) bool {
	name, _, _ := strings.Cut(test.Name, "/")
	files, err := filepath.Glob(filepath.Join(root, test.Package, "*_test.go"))
	return err == nil && slices.ContainsFunc(files, func(file string) bool {
		source, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(source), "func "+name+"(")
	})
}

// job is one test that must find one mutant. with names further mutants that are active meanwhile
// and that the test does not find.
type job struct {
	mutant  Mutant
	test    Test
	process bool
	with    []string
}

// jobs returns the tests to run, sorted by package.
func jobs(mutants []Mutant, o options) (all []job) {
	for _, m := range mutants {
		if !o.noUnit {
			all = append(all, job{m, m.Unit, false, nil})
		}
		if o.process && m.Process.Name != "" {
			all = append(all, job{m, m.Process, true, m.With})
		}
	}
	all = slices.DeleteFunc(all, func(j job) bool { return o.in != "" && j.test.Package != o.in })
	slices.SortStableFunc(all, func(a, b job) int {
		if a.process != b.process {
			if b.process {
				return -1
			}
			return 1
		}
		return strings.Compare(a.test.Package, b.test.Package)
	})
	return all
}

// runJobs runs the tests and returns an error when a mutant survives one.
func runJobs(ctx context.Context, r *runner, all []job, mutants int, out io.Writer) error {
	for _, j := range all {
		if err := r.buildPrograms(ctx, j.test.Package); err != nil {
			return err
		}
	}
	sound := map[string]bool{}
	var problems []string
	for _, j := range all {
		began := time.Now()
		verdict, problem, err := j.run(ctx, r, sound)
		if err != nil {
			return fmt.Errorf("mutant %s: %w", j.mutant.Name, err)
		}
		fmt.Fprintf(out, "%-8s  %s by %s (%s), %s\n", verdict, j.mutant.Name, j.test.Name, j.test.Package, time.Since(began).Round(100*time.Millisecond))
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d of %d tests do not find their mutant or fail without it:\n  %s", len(problems), len(all), strings.Join(problems, "\n  "))
	}
	fmt.Fprintf(out, "mutants: %d of %d killed, by %d tests\n", mutants, mutants, len(all))
	return nil
}

// run runs the test with its mutant active. sound holds the tests that are known to pass without
// it.
func (j job) run(ctx context.Context, r *runner, sound map[string]bool) (verdict, problem string, err error) {
	passed, _, err := r.runTest(ctx, j.test, append(slices.Clone(j.with), j.mutant.Name)...)
	if err != nil {
		return "", "", err
	}
	if passed {
		return "SURVIVES", fmt.Sprintf("%s survives %s in %s: %s", j.mutant.Name, j.test.Name, j.test.Package, j.mutant.Promise), nil
	}
	alone := fmt.Sprint(j.test, j.with)
	if sound[alone] {
		return "killed", "", nil
	}
	// A test that always fails would kill everything.
	passed, output, err := r.runTest(ctx, j.test, j.with...)
	if err != nil {
		return "", "", err
	}
	if !passed {
		return "BROKEN", fmt.Sprintf("%s in %s fails without mutant %s:\n%s", j.test.Name, j.test.Package, j.mutant.Name, output), nil
	}
	sound[alone] = true
	return "killed", "", nil
}
