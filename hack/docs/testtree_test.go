package main

import (
	"maps"
	"slices"
	"testing"
	"testing/fstest"
)

// treeOf returns a tree of files with this content.
func treeOf(files map[string]string) *tree {
	from := fstest.MapFS{}
	for name, content := range files {
		from[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return newTree(from, slices.Collect(maps.Keys(files)))
}

// expectProblems runs a check and compares its problems, as it prints them.
func expectProblems(t *testing.T, check func(*tree) ([]problem, error), files map[string]string, want ...string) {
	t.Helper()
	problems, err := check(treeOf(files))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
