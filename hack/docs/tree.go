package main

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// tree is the part of the repository that git knows or would add. Ignored files are not part of it,
// because a reader of the repository does not have them.
type tree struct {
	fs fs.FS
	// files are sorted paths with slashes; folders holds the folders of these files.
	files   []string
	folders map[string]bool
}

// newTree returns a tree of the named files. It skips files that were deleted and not committed
// yet.
func newTree(from fs.FS, names []string) *tree {
	t := &tree{fs: from, folders: map[string]bool{".": true}}
	for _, name := range names {
		info, err := fs.Stat(from, name)
		if err != nil || info.IsDir() {
			continue
		}
		t.files = append(t.files, name)
		for folder := path.Dir(name); !t.folders[folder]; folder = path.Dir(folder) {
			t.folders[folder] = true
		}
	}
	slices.Sort(t.files)
	t.files = slices.Compact(t.files)
	return t
}

// has reports whether a file or a folder is part of the tree.
func (t *tree) has(name string) bool {
	_, isFile := slices.BinarySearch(t.files, name)
	return isFile || t.folders[name]
}

func (t *tree) read(name string) (string, error) {
	content, err := fs.ReadFile(t.fs, name)
	if err != nil {
		return "", fmt.Errorf("read a file of the tree: %w", err)
	}
	return string(content), nil
}

func (t *tree) page(name string) (*page, error) {
	content, err := t.read(name)
	if err != nil {
		return nil, err
	}
	return parsePage(name, content), nil
}

// pages returns every Markdown page.
func (t *tree) pages() ([]*page, error) {
	var all []*page
	for _, name := range t.files {
		if path.Ext(name) != ".md" {
			continue
		}
		p, err := t.page(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// goFiles returns the Go files that are directly in a folder.
func (t *tree) goFiles(folder string) []string {
	var found []string
	for _, name := range t.files {
		if path.Dir(name) == folder && path.Ext(name) == ".go" {
			found = append(found, name)
		}
	}
	return found
}

// packages returns the folders of the root module that hold Go code.
func (t *tree) packages() []string {
	var found []string
	for _, name := range t.files {
		folder := path.Dir(name)
		if path.Ext(name) == ".go" && !slices.Contains(found, folder) && !t.inNestedModule(folder) && !inTestdata(folder) {
			found = append(found, folder)
		}
	}
	return found
}

func (t *tree) inNestedModule(folder string) bool {
	for ; folder != "."; folder = path.Dir(folder) {
		if t.has(folder + "/go.mod") {
			return true
		}
	}
	return false
}

// inTestdata reports whether the go command ignores a folder.
func inTestdata(folder string) bool {
	return slices.ContainsFunc(strings.Split(folder, "/"), func(part string) bool {
		return part == "testdata" || strings.HasPrefix(part, "_") || strings.HasPrefix(part, ".") && part != "."
	})
}
