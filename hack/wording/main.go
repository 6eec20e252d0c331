// Command wording counts the vague words in the comments and the documentation of the tree, and
// fails when a part holds more of them than an engineer reads over: wording [--list] [--folders].
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// limit is the number of vague words per 1,000 words that comments, or documentation, may hold.
const limit = 3.0

func main() {
	list := flag.Bool("list", false, "print each line that holds a vague word")
	folders := flag.Bool("folders", false, "print the figure of each folder")
	flag.Parse()
	if err := run(*list, *folders); err != nil {
		fmt.Fprintln(os.Stderr, "wording:", err)
		os.Exit(1)
	}
}

// run counts every file that git knows and returns an error when a part is above the limit.
func run(list, folders bool) error {
	files, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		return fmt.Errorf("list the files of the tree: %w", err)
	}
	parts := map[string]*count{"comments": {}, "documentation": {}}
	perFolder := map[string]*count{}
	for name := range strings.SplitSeq(strings.TrimRight(string(files), "\x00"), "\x00") {
		part, texts, err := readTexts(name)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if perFolder[folder] == nil {
			perFolder[folder] = &count{}
		}
		for _, t := range texts {
			parts[part].add(t.text)
			perFolder[folder].add(t.text)
			if list && vague.MatchString(t.text) {
				fmt.Printf("%s:%d: %s\n", name, t.line, strings.TrimSpace(t.text))
			}
		}
	}
	if folders {
		printCounts(perFolder)
	}
	printCounts(parts)
	for name, c := range parts {
		if c.rate() > limit {
			return fmt.Errorf("%s hold %.2f vague words per 1,000, more than %.0f: name the subject or the object instead (wording --list shows the lines)", name, c.rate(), limit)
		}
	}
	return nil
}

func printCounts(counts map[string]*count) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if c := counts[name]; c.words > 0 {
			fmt.Printf("%-50s %7d words, %4d vague, %5.2f per 1,000\n", name, c.words, c.vague, c.rate())
		}
	}
}
