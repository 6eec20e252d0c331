package main

import (
	"regexp"
	"strings"
)

// item is a numbered step or a row of a table; text may have several lines.
type item struct {
	line int
	text string
}

var (
	sectionHeading = regexp.MustCompile(`^## +(.*?) *$`)
	stepBegin      = regexp.MustCompile(`^\d+\. `)
	tableSeparator = regexp.MustCompile(`^\|[ |:-]+\|$`)
)

// section is a part of a page under a heading of the second level.
type section struct {
	title string
	line  int // of the heading
	lines []string
}

func (p *page) sections() []section {
	var all []section
	for i, line := range strings.Split(p.text, "\n") {
		switch title := sectionHeading.FindStringSubmatch(line); {
		case title != nil:
			all = append(all, section{title: title[1], line: i + 1})
		case len(all) > 0:
			last := &all[len(all)-1]
			last.lines = append(last.lines, line)
		}
	}
	return all
}

// steps returns the numbered steps of a section.
func (s section) steps() []item {
	var all []item
	open := false
	for i, line := range s.lines {
		switch {
		case stepBegin.MatchString(line):
			open = true
			all = append(all, item{line: s.line + 1 + i, text: line})
		case open && strings.HasPrefix(line, " "):
			all[len(all)-1].text += "\n" + line
		default:
			open = false
		}
	}
	return all
}

// rows returns the rows of the tables of a section, without their headers.
func (s section) rows() []item {
	var all []item
	inTable := false
	for i, line := range s.lines {
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case tableSeparator.MatchString(line):
			inTable = true
		case inTable:
			all = append(all, item{line: s.line + 1 + i, text: line})
		}
	}
	return all
}

// cells returns the cells of a row.
func (i item) cells() []string {
	cells := strings.Split(strings.Trim(i.text, "|"), "|")
	for at := range cells {
		cells[at] = strings.TrimSpace(cells[at])
	}
	return cells
}
