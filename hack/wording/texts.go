package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	vague = regexp.MustCompile(`(?i)\b(what|whoever|nobody|somebody|told|said|tells|says|wish|wishes|wished)\b`)
	word  = regexp.MustCompile(`[A-Za-z][A-Za-z']*`)
	// generated is the line by which tools mark their output, see go help generate.
	generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)
)

// count holds numbers of words.
type count struct{ words, vague int }

func (c *count) add(text string) {
	c.words += len(word.FindAllString(text, -1))
	c.vague += len(vague.FindAllString(text, -1))
}

// rate returns the vague words per 1,000 words.
func (c *count) rate() float64 { return 1000 * float64(c.vague) / float64(max(c.words, 1)) }

// text is a comment, or a line of documentation, and the line where it begins.
type text struct {
	line int
	text string
}

// readTexts returns the part that a file belongs to and its texts; none for generated code and for
// files that hold neither comments nor documentation.
func readTexts(name string) (string, []text, error) {
	read, part := reader(name)
	if read == nil {
		return "", nil, nil
	}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil // Deleted, and not committed yet.
	}
	if err != nil {
		return "", nil, fmt.Errorf("read a file of the tree: %w", err)
	}
	if generated.Match(content) {
		return part, nil, nil
	}
	return part, read(content), nil
}

func reader(name string) (func([]byte) []text, string) {
	switch filepath.Ext(name) {
	case ".go", ".proto":
		return goComments, "comments"
	case ".sh", ".yaml", ".yml", ".mod":
		return hashComments, "comments"
	case ".md":
		return lines, "documentation"
	}
	switch filepath.Base(name) {
	case "Makefile", "Dockerfile", "run":
		return hashComments, "comments"
	}
	return nil, ""
}

// goComments returns the comments of Go code; the tokens of protobuf files are close enough to it.
func goComments(content []byte) []text {
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(content))
	var s scanner.Scanner
	s.Init(file, content, func(token.Position, string) {}, scanner.ScanComments)
	var out []text
	for {
		at, kind, literal := s.Scan()
		switch kind {
		case token.EOF:
			return out
		case token.COMMENT:
			out = append(out, text{line: file.Line(at), text: literal})
		}
	}
}

// hashComments returns the lines that begin with a number sign.
func hashComments(content []byte) []text {
	var out []text
	for _, l := range lines(content) {
		if strings.HasPrefix(strings.TrimSpace(l.text), "#") {
			out = append(out, l)
		}
	}
	return out
}

func lines(content []byte) []text {
	var out []text
	for i, l := range bytes.Split(content, []byte("\n")) {
		out = append(out, text{line: i + 1, text: string(l)})
	}
	return out
}
