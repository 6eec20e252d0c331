package main

import (
	"maps"
	"slices"
	"testing"
)

func TestLinksLeadToFilesAndHeadings(t *testing.T) {
	tree := map[string]string{
		"README.md": "# Read me\n", "docs/a b.md": "# A\n## Same\n## Same\n", "docs/sub/README.md": "# Sub\n", "main.go": "package main\n",
	}
	for name, c := range map[string]struct{ text, want string }{
		"file in the same folder":      {"[a](sub/README.md)", ""},
		"file in the parent":           {"[a](../README.md#read-me)", ""},
		"escaped space":                {"[a](a%20b.md#same-1)", ""},
		"file in angle brackets":       {"[a](<sub/README.md>)", ""},
		"folder":                       {"[a](sub)", ""},
		"heading of a folder's README": {"[a](sub#sub)", ""},
		"path from the root":           {"[a](/main.go#L1)", ""},
		"heading of the same page":     {"# Top of `x`\n[a](#top-of-x)", ""},
		"title and line break":         {"[a\nb](sub/README.md \"title\")", ""},
		"other hosts":                  {"[a](https://example.com/x#y) [b](mailto:x@example.com) [c](//example.com)", ""},
		"code is no link":              {"`[a](x.md)` ``[b](`x.md`)``\n```md\n[c](x.md)\n```\n~~~\n[d](x.md)\n~~~", ""},
		"code ends with its paragraph": {"- a ` b\n- [c](x.md) `", "docs/page.md:2: link to x.md: the repository has no file docs/x.md; correct the path"},
		"missing file":                 {"a\n[b](x.md)", "docs/page.md:2: link to x.md: the repository has no file docs/x.md; correct the path"},
		"missing picture":              {"![b](x.png)", "docs/page.md:1: link to x.png: the repository has no file docs/x.png; correct the path"},
		"missing file of a definition": {"[a][b]\n\n[b]: x.md", "docs/page.md:3: link to x.md: the repository has no file docs/x.md; correct the path"},
		"missing file of HTML":         {"<img src=\"x.png\">", "docs/page.md:1: link to x.png: the repository has no file docs/x.png; correct the path"},
		"outside of the repository":    {"[a](../../x)", "docs/page.md:1: link to ../../x: the repository has no file ../x; correct the path"},
		"missing heading":              {"[a](sub/README.md#top)", "docs/page.md:1: link to sub/README.md#top: docs/sub/README.md has no heading with the anchor top; use the anchor of one of its headings"},
		"missing repeat":               {"[a](a%20b.md#same-2)", "docs/page.md:1: link to a%20b.md#same-2: docs/a b.md has no heading with the anchor same-2; use the anchor of one of its headings"},
		"heading of code":              {"[a](../main.go#main)", "docs/page.md:1: link to ../main.go#main: main.go is not a page and has no anchor main; link to the file"},
		"bad escape":                   {"[a](x%2.md)", "docs/page.md:1: link to x%2.md: the path is not a valid URL; correct its percent signs"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(tree)
			files["docs/page.md"] = c.text
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			expectProblems(t, checkLinks, files, want...)
		})
	}
}

func TestAnchorsFollowTheRulesOfGitHub(t *testing.T) {
	p := parsePage("a.md", "# Did it run?\n## `kubectl mooring invoke NODE`, and more\n## [A link](x.md) & Co.\n### Ünder_score #\n"+
		"## Same\n## Same\n## Same-1\n```sh\n# a comment\n```\n<a id=\"own\"></a>\n#no heading\n")
	want := []string{"a-link--co", "did-it-run", "kubectl-mooring-invoke-node-and-more", "own", "same", "same-1", "same-1-1", "ünder_score"}
	if got := slices.Sorted(maps.Keys(p.anchors())); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
