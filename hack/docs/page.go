package main

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// page is a Markdown page, read as far as the checks need it.
type page struct {
	name string
	// text is the page without its code blocks. In prose, inline code is blank too. Both have the
	// length and the lines of the page.
	text, prose string
	blocks      []block
}

// block is a code block; line is the line of its fence.
type block struct {
	line     int
	language string
	lines    []string
}

// link is a link to an address; line is the line of the address.
type link struct {
	line   int
	target string
}

var (
	fence = regexp.MustCompile("^\\s*(`{3,}|~{3,})\\s*([^`]*?)\\s*$")
	// blockEnd is an end of a paragraph, and so of inline code: an empty line, or the begin of a
	// list item, a row, a heading or a quotation.
	blockEnd = regexp.MustCompile(`\n(?:[ \t]*\n|[ \t]*(?:[-*+]|\d+\.)[ \t]|[ \t]*[|#>])`)

	inlineLink     = regexp.MustCompile(`\]\(\s*<?([^\s()<>]*(?:\([^\s()<>]*\)[^\s()<>]*)*)>?(?:\s+"[^"]*")?\s*\)`)
	linkDefinition = regexp.MustCompile(`(?m)^ {0,3}\[[^\]^]+\]:[ \t]+<?([^\s<>]+)>?`)
	htmlLink       = regexp.MustCompile(`\b(?:href|src)="([^"]+)"`)

	heading    = regexp.MustCompile(`(?m)^ {0,3}#{1,6}[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$`)
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	htmlAnchor = regexp.MustCompile(`<a\s+(?:id|name)="([^"]+)"`)
)

func parsePage(name, content string) *page {
	p := &page{name: name}
	var text strings.Builder
	open := "" // the fence of the open block
	for i, line := range strings.SplitAfter(content, "\n") {
		mark := fence.FindStringSubmatch(strings.TrimRight(line, "\r\n"))
		switch {
		case open == "" && mark == nil:
			text.WriteString(line)
			continue
		case open == "":
			open = mark[1]
			p.blocks = append(p.blocks, block{line: i + 1, language: mark[2]})
		case mark != nil && mark[2] == "" && strings.HasPrefix(mark[1], open):
			open = ""
		default:
			last := &p.blocks[len(p.blocks)-1]
			last.lines = append(last.lines, strings.TrimRight(line, "\r\n"))
		}
		text.WriteString(blank(line))
	}
	p.text = text.String()
	p.prose = blankInlineCode(p.text)
	return p
}

// blank replaces every byte but the line breaks by a space.
func blank(s string) string {
	out := []byte(s)
	for i, b := range out {
		if b != '\n' {
			out[i] = ' '
		}
	}
	return string(out)
}

// blankInlineCode blanks inline code, which ends at the next run of as many backquotes in its
// paragraph.
func blankInlineCode(text string) string {
	out := text
	for at := 0; at < len(text); {
		if text[at] != '`' {
			at++
			continue
		}
		ticks := text[at : at+len(text[at:])-len(strings.TrimLeft(text[at:], "`"))]
		begin := at + len(ticks)
		paragraph := text[begin:]
		if end := blockEnd.FindStringIndex(paragraph); end != nil {
			paragraph = paragraph[:end[0]]
		}
		at = begin
		if length := endOfCode(paragraph, ticks); length >= 0 {
			at = begin + length + len(ticks)
			out = out[:begin] + blank(out[begin:begin+length]) + out[begin+length:]
		}
	}
	return out
}

// endOfCode returns the offset of a run of exactly these backquotes, or -1.
func endOfCode(paragraph, ticks string) int {
	for at := 0; at < len(paragraph); {
		next := strings.IndexByte(paragraph[at:], '`')
		if next < 0 {
			return -1
		}
		at += next
		length := len(paragraph[at:]) - len(strings.TrimLeft(paragraph[at:], "`"))
		if length == len(ticks) {
			return at
		}
		at += length
	}
	return -1
}

// lineAt returns the line of an offset into text or prose.
func (p *page) lineAt(offset int) int { return 1 + strings.Count(p.text[:offset], "\n") }

func (p *page) links() []link {
	var found []link
	for _, form := range []*regexp.Regexp{inlineLink, linkDefinition, htmlLink} {
		for _, at := range form.FindAllStringSubmatchIndex(p.prose, -1) {
			found = append(found, link{line: p.lineAt(at[2]), target: p.prose[at[2]:at[3]]})
		}
	}
	return found
}

// anchors returns the anchors of the headings that begin with number signs, as GitHub derives them.
func (p *page) anchors() map[string]bool {
	anchors := map[string]bool{}
	repeats := map[string]int{}
	for _, h := range heading.FindAllStringSubmatch(p.text, -1) {
		base := anchorOf(h[1])
		anchor := base
		for anchors[anchor] {
			repeats[base]++
			anchor = base + "-" + strconv.Itoa(repeats[base])
		}
		anchors[anchor] = true
	}
	for _, a := range htmlAnchor.FindAllStringSubmatch(p.prose, -1) {
		anchors[a[1]] = true
	}
	return anchors
}

// anchorOf returns the anchor of a heading: letters, digits, dashes and underscores in lower case,
// and a dash for each space.
func anchorOf(heading string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(linkText.ReplaceAllString(heading, "$1"))) {
		switch {
		case r == ' ':
			out.WriteByte('-')
		case r == '-', unicode.In(r, unicode.Letter, unicode.Mark, unicode.Nd, unicode.Pc):
			out.WriteRune(r)
		}
	}
	return out.String()
}
