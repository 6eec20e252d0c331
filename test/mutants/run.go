package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// programs are the packages of the binaries that tests with processes start and that contain code
// of the product.
var programs = []string{"./cmd/manager", "./cmd/mooring-agent", "./cmd/kubectl-mooring", "./test/testagent", "./test/chaos/machines"}

// runner builds tests and programs with all mutants in them and runs them with some active. The go
// command gets the mutants through an overlay, so the caller's tree never changes.
type runner struct {
	root, dir string // of the repository, and of the built files
	overlay   string
	copies    map[string]string
	// environment is added to the environment of the tests.
	environment []string
	built       map[string]string // test binaries by package
}

func newRunner(root, dir string, mutants []Mutant) (*runner, error) {
	overlay, copies, err := instrument(root, dir, mutants)
	if err != nil {
		return nil, err
	}
	return &runner{root: root, dir: dir, overlay: overlay, copies: copies, built: map[string]string{}}, nil
}

// compile compiles the packages of the mutants.
func (r *runner) compile(ctx context.Context) error {
	packages := map[string]bool{}
	arguments := []string{"build"}
	for original := range r.copies {
		packages["./"+strings.TrimPrefix(filepath.Dir(original), r.root+"/")] = true
	}
	for one := range packages {
		arguments = append(arguments, one)
	}
	return r.goCommand(ctx, nil, arguments...)
}

// testBinary returns the path of the tests of a package, built with all mutants.
func (r *runner) testBinary(ctx context.Context, folder string) (string, error) {
	if path := r.built[folder]; path != "" {
		return path, nil
	}
	path := filepath.Join(r.dir, strings.ReplaceAll(folder, "/", "-")+".test")
	if err := r.goCommand(ctx, nil, "test", "-vet=off", "-c", "-o", path, "./"+folder); err != nil {
		return "", err
	}
	r.built[folder] = path
	return path, nil
}

// errNoTest is the error of runTest for a test that the package does not have.
var errNoTest = errors.New("there is no such test")

// runTest runs one test with the given mutants active. passed is false when the test fails.
func (r *runner) runTest(ctx context.Context, test Test, mutants ...string) (passed bool, output []byte, err error) {
	binary, err := r.testBinary(ctx, test.Package)
	if err != nil {
		return false, nil, err
	}
	command := exec.CommandContext(ctx, binary, "-test.timeout=10m", "-test.failfast", "-test.count=1", "-test.run="+exactPattern(test.Name))
	command.Dir = filepath.Join(r.root, test.Package)
	command.Env = append(os.Environ(), append([]string{mutantVariable + "=" + strings.Join(mutants, ","), "RAPID_NOFAILFILE=true"}, r.environment...)...)
	output, err = command.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, output, ctx.Err()
	case errors.As(err, &failed):
		return false, output, nil
	case err != nil:
		return false, output, err
	case bytes.Contains(output, []byte("no tests to run")):
		return false, output, fmt.Errorf("%w: %s in %s", errNoTest, test.Name, test.Package)
	}
	return true, output, nil
}

// exactPattern returns a pattern that matches only the given test.
func exactPattern(name string) string {
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(parts, "/")
}

// startsPrograms reports whether the tests of a folder start programs of the product.
func (r *runner) startsPrograms(ctx context.Context, folder string) (bool, error) {
	command := exec.CommandContext(ctx, "go", "list", "-test", "-deps", "./"+folder)
	command.Dir = r.root
	imported, err := command.Output()
	if err != nil {
		return false, fmt.Errorf("list the imports of %s: %w", folder, err)
	}
	return bytes.Contains(imported, []byte("/test/stack\n")), nil
}

// buildPrograms builds the programs that the tests of a folder start, once for all folders. It puts
// links to all other programs beside them and makes the tests use them.
func (r *runner) buildPrograms(ctx context.Context, folder string) error {
	if starts, err := r.startsPrograms(ctx, folder); err != nil || !starts || len(r.environment) > 0 {
		return err
	}
	bin := filepath.Join(r.dir, "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	built := map[string]bool{}
	for _, program := range programs {
		built[filepath.Base(program)] = true
	}
	existing, err := filepath.Glob(filepath.Join(r.root, ".local", "bin", "*"))
	if err != nil {
		return err
	}
	for _, path := range existing {
		if name := filepath.Base(path); !built[name] {
			if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
				return err
			}
		}
	}
	r.environment = append(r.environment, "MOORING_TEST_BIN="+bin)
	return r.goCommand(ctx, []string{"CGO_ENABLED=0"}, append([]string{"build", "-trimpath", "-o", bin + "/"}, programs...)...)
}

// goCommand runs the go command on the tree with the mutants. The error names a mutant that does
// not compile.
func (r *runner) goCommand(ctx context.Context, environment []string, arguments ...string) error {
	arguments = append([]string{arguments[0], "-overlay=" + r.overlay}, arguments[1:]...)
	command := exec.CommandContext(ctx, "go", arguments...)
	command.Dir = r.root
	command.Env = append(append(os.Environ(), "GOFLAGS=-buildvcs=false"), environment...)
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go %s: %w\n%s(lines are those of the files in %s)", strings.Join(arguments, " "), err, output, r.dir)
	}
	return nil
}
