// Command docs compares the documentation with the repository, and fails when they differ. It
// checks the links of every page, the diagrams, the functions and folders that docs/architecture.md
// names, the tests that test/README.md names, and numbers and names that pages repeat from the
// code.
package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// architecturePage is the page that names functions and folders.
const architecturePage = "docs/architecture.md"

// problem is a difference at a line of a file. Its text describes the difference and the remedy.
type problem struct {
	file string
	line int
	text string
}

func (p problem) String() string { return fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text) }

var checks = []func(*tree) ([]problem, error){
	checkLinks, checkDiagrams, checkReferences, checkFolders, checkFieldManagers, checkModules,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

func run() error {
	list, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("list the files of the tree: %w", err)
	}
	t := newTree(os.DirFS("."), strings.Split(strings.TrimRight(string(list), "\x00"), "\x00"))
	problems, err := runChecks(t)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%d differences between the documentation and the repository", len(problems))
	}
	return nil
}

// runChecks returns the problems of all checks in the order of files and lines.
func runChecks(t *tree) ([]problem, error) {
	var problems []problem
	for _, check := range checks {
		found, err := check(t)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	slices.SortStableFunc(problems, func(a, b problem) int {
		return cmp.Or(strings.Compare(a.file, b.file), a.line-b.line)
	})
	return problems, nil
}
