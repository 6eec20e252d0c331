// Package foreign makes text that others wrote safe to store, to log and to show on a terminal:
// texts of machines, programs, people and other clusters' servers. It decides in one place which
// characters are safe, so a text looks the same wherever it is stored or shown.
//
// Unsafe are control characters (C0, C1, DEL), format characters (bidirectional marks, zero-width
// characters, the BOM), line and paragraph separators, characters that print as nothing, private,
// unassigned and noncharacters, invalid UTF-8, and marks that pile up.
package foreign

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxMarks bounds the combining marks on one letter: Thai and Hebrew need two or three.
	maxMarks = 3

	maxBrief = 300 // characters

	// blanks count as printable, but print as nothing.
	blanks = "\u115f\u1160\u2800\u3164\uffa0"

	// quoteMark begins each line of a quoted text. No line of our own begins with it.
	quoteMark = "  | "
)

// invisibleMarks are combining marks that print as nothing: the grapheme joiner, Khmer inherent
// vowels, and variation selectors.
var invisibleMarks = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x034f, Hi: 0x034f, Stride: 1}, {Lo: 0x17b4, Hi: 0x17b5, Stride: 1}, {Lo: 0x180b, Hi: 0x180f, Stride: 1}, {Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0xe0100, Hi: 0xe01ef, Stride: 1}},
}

// cleaner replaces unsafe characters of one text. It counts the marks on a letter.
type cleaner struct {
	// kept are white space characters that stay as they are.
	kept string
	// marks is the number of marks that may still follow.
	marks int
}

// clean returns the character that stands for r: itself, a space for white space, or U+FFFD.
func (c *cleaner) clean(r rune) rune {
	switch {
	case r >= ' ' && r < utf8.RuneSelf && r != 0x7f:
		c.marks = 0
		if unicode.IsLetter(r) {
			c.marks = maxMarks
		}
		return r
	case unicode.Is(unicode.Mn, r):
		if c.marks == 0 || unicode.Is(invisibleMarks, r) {
			return utf8.RuneError
		}
		c.marks--
		return r
	}
	c.marks = 0
	switch {
	case strings.ContainsRune(c.kept, r):
		return r
	case unicode.IsSpace(r):
		return ' '
	case unicode.Is(unicode.Me, r), strings.ContainsRune(blanks, r), !unicode.IsPrint(r):
		return utf8.RuneError
	case unicode.IsLetter(r), unicode.Is(unicode.Mc, r):
		c.marks = maxMarks
	}
	return r
}

// Line returns s as one line: line breaks, tabs and other white space become spaces, each unsafe
// character becomes U+FFFD. Line(Line(s)) is Line(s).
func Line(s string) string {
	var c cleaner
	return strings.Map(c.clean, s)
}

// Text is Line for a text of several lines: line feeds and tabs stay, CR LF becomes a line feed.
func Text(s string) string {
	c := cleaner{kept: "\n\t"}
	return strings.Map(c.clean, strings.ReplaceAll(s, "\r\n", "\n"))
}

// Quote returns s for a terminal, beside text of our own: one line as Line, of several lines each
// in a line of its own behind a mark. It begins with a line feed in that case.
func Quote(s string) string {
	s = strings.TrimRight(Text(s), "\n\t ")
	if !strings.Contains(s, "\n") {
		return Line(s)
	}
	return "\n" + quoteMark + strings.ReplaceAll(s, "\n", "\n"+quoteMark)
}

// Indent returns s as a Text of which every line but the first is indented, for errors that may hold
// foreign lines.
func Indent(s string) string {
	return strings.ReplaceAll(strings.TrimRight(Text(s), "\n"), "\n", "\n  ")
}

// Exact returns s as one line that leaves nothing out, for what a person decides about: unsafe
// characters and all marks are escapes such as \x1b and \u202e, a backslash is two.
func Exact(s string) string {
	var shown strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		var c cleaner
		switch {
		case r == '\\':
			shown.WriteString(`\\`)
		case r != ' ' && c.clean(r) != r, unicode.Is(unicode.Mn, r):
			shown.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			shown.WriteRune(r)
		}
	}
	return shown.String()
}

// Unsafe returns the first character of a text of several lines that is not safe.
func Unsafe(s string) (r rune, found bool) {
	var c cleaner
	for _, r := range s {
		if c.clean(r) == utf8.RuneError {
			return r, true
		}
	}
	return 0, false
}

// Short returns s as a Line of at most limit bytes, to be stored.
func Short(s string, limit int) string { return cut(Line(s), limit) }

// ShortEnd is Short for an error, of which the end is kept, because the cause is there. An ellipsis
// stands for the beginning.
func ShortEnd(s string, limit int) string {
	s = Line(s)
	if len(s) <= limit {
		return s
	}
	from := min(len(s)-limit+len("…"), len(s))
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return "…" + s[from:]
}

// Brief returns s as a Line for people, of at most 300 characters.
func Brief(s string) string { return Shorten(Line(s), maxBrief) }

// cut returns the longest beginning of s that has at most limit bytes and ends between characters.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:max(limit, 0)]
}

// Shorten returns s with at most limit characters; an ellipsis is the last of one that was cut.
func Shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// Sprintf is fmt.Sprintf with each argument that is a text, an error or has a String method as a
// Line: only the format can begin a line.
func Sprintf(format string, args ...any) string {
	lines := make([]any, len(args))
	for i, arg := range args {
		switch value := arg.(type) {
		case error:
			lines[i] = Line(value.Error())
		case fmt.Stringer:
			lines[i] = Line(value.String())
		default:
			lines[i] = arg
			if reflect.ValueOf(arg).Kind() == reflect.String {
				lines[i] = Line(reflect.ValueOf(arg).String())
			}
		}
	}
	return fmt.Sprintf(format, lines...)
}
