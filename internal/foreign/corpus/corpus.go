// Package corpus holds hostile texts for tests, and a check of the texts that programs may show.
// The tests of the plugin, the agent, the controllers and the gateway share it.
package corpus

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// forgedLinePrefix begins each line of a hostile text that imitates a line of our programs.
const forgedLinePrefix = "forged"

// Texts holds hostile texts by their effect.
var Texts = map[string]string{
	"ESC":            "x\x1b[2J\x1b]0;title\x07\x1b[31m",
	"C0":             "x\x00\x01\x07\x08\x08\x0c\x0e\x0f",
	"C1":             "x\u009b2J\u009d0;title\u009c\u0090\u0085",
	"raw C1 bytes":   "x\x9b2J\x9d0;title\x9c",
	"DEL":            "x\x7f\x7f",
	"bidirectional":  "x\u202e\u202d\u2066\u2067\u2068\u2069\u200e\u200f\u061cy",
	"zero width":     "x\u200b\u200c\u200d\u2060\ufeff\u00ad\u180ey",
	"blanks":         "x\u3164\u2800\u115f\uffa0y",
	"tags":           "x\U000e0041\U000e007fy",
	"private use":    "x\ue000\U0010fffd\ufffey",
	"invalid UTF-8":  "x\xff\xc3\xf0\x9f\x92",
	"piled marks":    "x" + strings.Repeat("\u0300", 40),
	"several lines":  "x\nforged line\n\nforged line\n",
	"CR LF":          "x\r\nforged line\r\nforged line",
	"CR":             "x\rforged line\rforged line",
	"tabs":           "x\tforged\t\tforged",
	"line separator": "x\u2028forged line\u2029forged line\u0085forged line\vforged line\fforged line",
	"very long":      strings.Repeat("x y", 40_000) + "\nforged line",
}

// AllEffects is one text with all these effects except extreme length.
var AllEffects = func() string {
	var all strings.Builder
	for _, name := range []string{"ESC", "C0", "C1", "raw C1 bytes", "DEL", "bidirectional", "zero width", "blanks", "tags",
		"private use", "invalid UTF-8", "piled marks", "several lines", "CR LF", "CR", "tabs", "line separator"} {
		all.WriteString(Texts[name])
	}
	return all.String()
}()

// ToValid returns a hostile text in valid UTF-8, as JSON and protobuf deliver it.
func ToValid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// FindProblem returns the fault of a text that is shown to a person, or "". A fault is a character
// that controls a terminal or is invisible, or a foreign line that begins where our own lines
// begin.
func FindProblem(shown string) string {
	if !utf8.ValidString(shown) {
		return "invalid UTF-8"
	}
	marks := 0
	for _, r := range shown {
		if unicode.Is(unicode.Mn, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == '\n', r == '\t':
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp), strings.ContainsRune("\u3164\u2800\u115f\uffa0\ufffe", r):
			return "character " + strings.ToUpper(quoted(r))
		case marks > 4:
			return "piled marks"
		}
	}
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(line, forgedLinePrefix) {
			return "the foreign line " + strings.TrimSpace(line)
		}
	}
	return ""
}

func quoted(r rune) string {
	const digits = "0123456789abcdef"
	text := []byte("U+")
	for shift := 20; shift >= 0; shift -= 4 {
		text = append(text, digits[r>>shift&15])
	}
	return string(text)
}

// CheckSafe fails the test if [FindProblem] finds a fault in the shown text.
func CheckSafe(t testing.TB, shown string) {
	t.Helper()
	if problem := FindProblem(shown); problem != "" {
		t.Errorf("%s is shown in %.600q", problem, shown)
	}
}
