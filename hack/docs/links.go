package main

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
)

var (
	// external matches an address outside of the repository: one with a scheme or a host.
	external = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9+.-]*:|//)`)
	// lineAnchor is an anchor that GitHub makes for lines of files that are no pages.
	lineAnchor = regexp.MustCompile(`^L\d+(?:-L\d+)?$`)
)

// checkLinks checks that each relative link of a page leads to a file of the tree, and its anchor
// to a heading.
func checkLinks(t *tree) ([]problem, error) {
	pages, err := t.pages()
	if err != nil {
		return nil, err
	}
	anchors := map[string]map[string]bool{}
	for _, p := range pages {
		anchors[p.name] = p.anchors()
	}
	var problems []problem
	for _, p := range pages {
		for _, l := range p.links() {
			if text := checkLink(t, anchors, p.name, l.target); text != "" {
				problems = append(problems, problem{p.name, l.line, fmt.Sprintf("link to %s: %s", l.target, text)})
			}
		}
	}
	return problems, nil
}

// checkLink returns the problem of a link in the page from, or "". anchors holds the anchors of
// each page.
func checkLink(t *tree, anchors map[string]map[string]bool, from, target string) string {
	if external.MatchString(target) {
		return ""
	}
	escaped, anchor, _ := strings.Cut(target, "#")
	file, err := url.PathUnescape(escaped)
	if err != nil {
		return "the path is not a valid URL; correct its percent signs"
	}
	to := from
	switch {
	case strings.HasPrefix(file, "/"): // GitHub begins at the root of the repository
		to = path.Join(".", file)
	case file != "":
		to = path.Join(path.Dir(from), file)
	}
	if !t.has(to) {
		return fmt.Sprintf("the repository has no file %s; correct the path", to)
	}
	if anchor == "" {
		return ""
	}
	if t.folders[to] { // GitHub shows the README of a folder
		to = path.Join(to, "README.md")
	}
	known, isPage := anchors[to]
	switch {
	case isPage && !known[anchor]:
		return fmt.Sprintf("%s has no heading with the anchor %s; use the anchor of one of its headings", to, anchor)
	case !isPage && !lineAnchor.MatchString(anchor):
		return fmt.Sprintf("%s is not a page and has no anchor %s; link to the file", to, anchor)
	}
	return ""
}
