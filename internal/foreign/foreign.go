// Package foreign makes foreign text safe to store, to send, to log and to show on a terminal.
// Foreign text comes from machines, programs, people and the servers of other clusters. The package
// is the only place that defines which characters are safe and how a text is cut, so a text looks
// the same wherever it is stored or shown.
//
// These characters are unsafe: control characters (C0, C1, DEL), format characters (bidirectional
// marks, zero-width characters, the BOM), line and paragraph separators, and characters that print
// as nothing. Private, unassigned and noncharacters, invalid UTF-8 and excess combining marks are
// unsafe too.
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
	// maxMarks bounds the combining marks on one letter; Thai and Hebrew need two or three.
	maxMarks = 3

	maxBrief = 300 // characters

	// blankCharacters are characters that Unicode calls printable but that print as nothing.
	blankCharacters = "\u115f\u1160\u2800\u3164\uffa0"

	// quoteMark begins each line of a quoted text. No line of our own text begins with it.
	quoteMark = "  | "
)

// invisibleMarks are combining marks that print as nothing: the grapheme joiner, Khmer inherent
// vowels, and variation selectors.
var invisibleMarks = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x034f, Hi: 0x034f, Stride: 1}, {Lo: 0x17b4, Hi: 0x17b5, Stride: 1}, {Lo: 0x180b, Hi: 0x180f, Stride: 1}, {Lo: 0xfe00, Hi: 0xfe0f, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0xe0100, Hi: 0xe01ef, Stride: 1}},
}

// cleaner replaces the unsafe characters of one text and counts the marks on each letter.
type cleaner struct {
	// kept holds the white space characters that stay unchanged.
	kept string
	// marks is the number of marks that may still follow.
	marks int
}

// clean returns the replacement of r: itself, a space for white space, or U+FFFD.
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
	case unicode.Is(unicode.Me, r), strings.ContainsRune(blankCharacters, r), !unicode.IsPrint(r):
		return utf8.RuneError
	case unicode.IsLetter(r), unicode.Is(unicode.Mc, r):
		c.marks = maxMarks
	}
	return r
}

// CleanLine returns s as one line. Line breaks, tabs and other white space become spaces, and each
// unsafe character becomes U+FFFD. CleanLine(CleanLine(s)) is CleanLine(s).
func CleanLine(s string) string {
	var c cleaner
	return strings.Map(c.clean, s)
}

// CleanText cleans a text of several lines like [CleanLine], but keeps line feeds and tabs; CR LF
// becomes a line feed.
func CleanText(s string) string {
	c := cleaner{kept: "\n\t"}
	return strings.Map(c.clean, strings.ReplaceAll(s, "\r\n", "\n"))
}

// QuoteLines returns s for a terminal, next to our own text. One line is returned as by
// [CleanLine]. For several lines it returns a line feed and then each line behind a mark.
func QuoteLines(s string) string {
	s = strings.TrimRight(CleanText(s), "\n\t ")
	if !strings.Contains(s, "\n") {
		return CleanLine(s)
	}
	return "\n" + quoteMark + strings.ReplaceAll(s, "\n", "\n"+quoteMark)
}

// IndentLines returns s as a clean text with every line indented except the first, for errors that
// may contain foreign lines.
func IndentLines(s string) string {
	return strings.ReplaceAll(strings.TrimRight(CleanText(s), "\n"), "\n", "\n  ")
}

// EscapeExactly returns s as one line without any loss, for texts that a person decides about.
// Unsafe characters and all marks become escapes such as \x1b and \u202e, and a backslash is
// doubled.
func EscapeExactly(s string) string {
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

// FindUnsafe returns the first unsafe character of a text of several lines.
func FindUnsafe(s string) (r rune, found bool) {
	var c cleaner
	for _, r := range s {
		if c.clean(r) == utf8.RuneError {
			return r, true
		}
	}
	return 0, false
}

// Truncate returns the longest beginning of s that has at most limit bytes and ends between
// characters. Invalid UTF-8, which no message can contain, becomes U+FFFD. Unsafe characters stay,
// so a receiver that stores or shows the text must clean it.
func Truncate(s string, limit int) string {
	return truncateBytes(strings.ToValidUTF8(s, "\uFFFD"), limit)
}

// TruncateLine returns s as one clean line of at most limit bytes, for storage.
func TruncateLine(s string, limit int) string { return truncateBytes(CleanLine(s), limit) }

// TruncateLineStart shortens an error like [TruncateLine], but keeps the end, because the cause is
// there. An ellipsis replaces the beginning.
func TruncateLineStart(s string, limit int) string {
	s = CleanLine(s)
	if len(s) <= limit {
		return s
	}
	from := min(len(s)-limit+len("…"), len(s))
	for from < len(s) && !utf8.RuneStart(s[from]) {
		from++
	}
	return "…" + s[from:]
}

// BriefLine returns s as one clean line for people, of at most 300 characters.
func BriefLine(s string) string { return Shorten(CleanLine(s), maxBrief) }

// truncateBytes returns the longest beginning of s that has at most limit bytes and ends between
// characters.
func truncateBytes(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:max(limit, 0)]
}

// Shorten returns s with at most limit characters; if it was cut, the last one is an ellipsis.
func Shorten(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// Sprintf formats like fmt.Sprintf, with every argument that is a string, an error or a Stringer
// converted by [CleanLine]. Thus only the format can begin a line.
func Sprintf(format string, args ...any) string {
	lines := make([]any, len(args))
	for i, arg := range args {
		switch value := arg.(type) {
		case error:
			lines[i] = CleanLine(value.Error())
		case fmt.Stringer:
			lines[i] = CleanLine(value.String())
		default:
			lines[i] = arg
			if reflect.ValueOf(arg).Kind() == reflect.String {
				lines[i] = CleanLine(reflect.ValueOf(arg).String())
			}
		}
	}
	return fmt.Sprintf(format, lines...)
}
