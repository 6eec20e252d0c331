// Package console prints the lines a person at the machine reads. Everything else
// the agent has to tell goes to its log.
package console

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// maxText bounds a foreign text in a line, in characters.
const maxText = 300

// Console prints whole lines. It is for concurrent use.
type Console struct {
	mu   sync.Mutex
	out  io.Writer
	last string
}

// New prints to out.
func New(out io.Writer) *Console { return &Console{out: out} }

// Say prints a line.
func (c *Console) Say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = fmt.Sprintf(format, args...)
	fmt.Fprintln(c.out, c.last)
}

// SayOnce prints a line unless it is the one printed last: for what is tried again
// and again.
func (c *Console) SayOnce(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if line == c.last {
		return
	}
	c.last = line
	fmt.Fprintln(c.out, line)
}

// Clean makes foreign text safe for a terminal: one short line without control
// characters.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > maxText {
		return string(runes[:maxText]) + "…"
	}
	return text
}

// blanks print, but as nothing.
const blanks = "\u115f\u1160\u2800\u3164\uffa0"

// Visible makes foreign text safe for a terminal and leaves nothing out: characters that
// do not print, or change the direction or place of others, are shown as escapes such as
// \x1b and \u202e; a backslash as two.
func Visible(text string) string {
	var shown strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		switch {
		case r == '\\':
			shown.WriteString(`\\`)
		case r == '"':
			shown.WriteByte('"')
		case unicode.IsPrint(r) && !unicode.In(r, unicode.Mn, unicode.Me) && !strings.ContainsRune(blanks, r):
			shown.WriteRune(r)
		default:
			shown.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return shown.String()
}
