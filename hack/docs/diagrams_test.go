package main

import "testing"

func TestDiagramsBeginWithATypeAndBalanceTheirBrackets(t *testing.T) {
	for name, c := range map[string]struct{ diagram, want string }{
		"flowchart":         {"flowchart LR\n  a[\"x ( y\"] -->|\"text\"| b([c]) %% a ) comment\n", ""},
		"comment first":     {"%% a comment\n\nflowchart LR\n", ""},
		"sequence diagram":  {"sequenceDiagram\n  a-)b: text\n  b--)a: text\n", ""},
		"several lines":     {"classDiagram\n  class A {\n    x\n  }\n", ""},
		"unknown type":      {"flow LR\n", `a.md:4: a Mermaid diagram cannot begin with "flow"; begin it with one of flowchart, graph, sequenceDiagram, classDiagram, stateDiagram-v2, gantt, pie, gitGraph, mindmap, timeline`},
		"empty":             {"\n", "a.md:3: the Mermaid block is empty; begin it with the type of a diagram"},
		"bracket not open":  {"flowchart LR\n  a[b)] --> c\n", "a.md:5: the bracket ) closes no open one; remove it, or put the text in quotes"},
		"bracket not shut":  {"flowchart LR\n  a[b\n  c\n", "a.md:5: the bracket [ is never closed; close it, or put the text in quotes"},
		"open quotation":    {"flowchart LR\n  a[\"b]\n", "a.md:5: a quotation mark is not closed in its line; close it"},
		"stray square mark": {"flowchart LR\n  a] --> b\n", "a.md:5: the bracket ] closes no open one; remove it, or put the text in quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			expectProblems(t, checkDiagrams, map[string]string{"a.md": "# A\n\n```mermaid\n" + c.diagram + "```\n"}, want...)
		})
	}
}

func TestOnlyMermaidBlocksAreDiagrams(t *testing.T) {
	expectProblems(t, checkDiagrams, map[string]string{"a.md": "```sh\necho )\n```\n"})
}
