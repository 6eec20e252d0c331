package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// diagramTypes are the first words of Mermaid diagrams that checkDiagrams understands. It lacks
// erDiagram, whose arrows hold single brackets.
var diagramTypes = []string{
	"flowchart", "graph", "sequenceDiagram", "classDiagram", "stateDiagram-v2", "gantt", "pie", "gitGraph", "mindmap", "timeline",
}

// closers holds the opening bracket of each closing one.
var closers = map[rune]rune{')': '(', ']': '[', '}': '{'}

// openArrow is an arrow of a sequence diagram that ends in a bracket.
var openArrow = regexp.MustCompile(`--?\)`)

// checkDiagrams checks the syntax of Mermaid blocks: a known type in the first line, and balanced
// brackets and quotes. It does not render them. A diagram without a finding can still be wrong.
func checkDiagrams(t *tree) ([]problem, error) {
	pages, err := t.pages()
	if err != nil {
		return nil, err
	}
	var problems []problem
	for _, p := range pages {
		for _, b := range p.blocks {
			if b.language == "mermaid" {
				problems = append(problems, checkDiagram(p.name, b)...)
			}
		}
	}
	return problems, nil
}

func checkDiagram(file string, b block) []problem {
	kind := ""
	var problems []problem
	var open brackets
	for i, line := range b.lines {
		line, _, _ = strings.Cut(line, "%%") // a comment
		if strings.TrimSpace(line) == "" {
			continue
		}
		at := b.line + 1 + i
		if kind == "" {
			kind = strings.Fields(line)[0]
			if !slices.Contains(diagramTypes, kind) {
				return []problem{{file, at, fmt.Sprintf("a Mermaid diagram cannot begin with %q; begin it with one of %s", kind, strings.Join(diagramTypes, ", "))}}
			}
		}
		if kind == "sequenceDiagram" {
			line = openArrow.ReplaceAllString(line, "->")
		}
		if text := open.read(line, at); text != "" {
			problems = append(problems, problem{file, at, text})
		}
	}
	switch {
	case kind == "":
		problems = append(problems, problem{file, b.line, "the Mermaid block is empty; begin it with the type of a diagram"})
	case len(problems) == 0 && len(open) > 0:
		last := open[len(open)-1]
		problems = append(problems, problem{file, last.line, fmt.Sprintf("the bracket %c is never closed; close it, or put the text in quotes", last.opener)})
	}
	return problems
}

// brackets are the open brackets of a diagram, innermost last.
type brackets []bracket

type bracket struct {
	opener rune
	line   int
}

// read applies the brackets of a line outside of quotes, and returns the first problem, or "".
func (b *brackets) read(line string, at int) string {
	quoted := false
	for _, r := range line {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case strings.ContainsRune("([{", r):
			*b = append(*b, bracket{r, at})
		case closers[r] != 0:
			if len(*b) == 0 || (*b)[len(*b)-1].opener != closers[r] {
				return fmt.Sprintf("the bracket %c closes no open one; remove it, or put the text in quotes", r)
			}
			*b = (*b)[:len(*b)-1]
		}
	}
	if quoted {
		return "a quotation mark is not closed in its line; close it"
	}
	return ""
}
