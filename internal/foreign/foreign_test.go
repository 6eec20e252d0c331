package foreign

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestALineHoldsNoCharacterThatActsOnATerminal(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain text stays":              {"Debian GNU/Linux 12 (bookworm) – ünï", "Debian GNU/Linux 12 (bookworm) – ünï"},
		"other scripts stay":            {"我的电脑 שָׁלוֹם ภาษาไทย हिन्दी عربي", "我的电脑 שָׁלוֹם ภาษาไทย हिन्दी عربي"},
		"a decomposed letter stays":     {"cafe\u0301", "cafe\u0301"},
		"C0":                            {"a\x00b\x1b[2J\x07", "a\uFFFDb\uFFFD[2J\uFFFD"},
		"DEL":                           {"a\x7fb", "a\uFFFDb"},
		"C1":                            {"a\u009b1m\u009d", "a\uFFFD1m\uFFFD"},
		"white space":                   {"a\nb\tc\r\nd\u00a0e\u2028f\u2029g\u0085h\u3000i\vj", "a b c  d e f g h i j"},
		"bidirectional marks":           {"a\u200e\u200f\u202a\u202e\u2066\u2069\u061cb", "a" + strings.Repeat("\uFFFD", 7) + "b"},
		"zero width":                    {"a\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e", "a" + strings.Repeat("\uFFFD", 7)},
		"invalid UTF-8":                 {"a\xffb\xc3", "a\uFFFDb\uFFFD"},
		"a raw C1 byte":                 {"a\x9b31m", "a\uFFFD31m"},
		"tags and noncharacters":        {"a\U000e0041\ufffe\U0010ffff\ue000", "a" + strings.Repeat("\uFFFD", 4)},
		"characters that print nothing": {"\u115f\u1160\u2800\u3164\uffa0", strings.Repeat("\uFFFD", 5)},
		"piled marks":                   {"a" + strings.Repeat("\u0300", 5), "a\u0300\u0300\u0300\uFFFD\uFFFD"},
		"a mark on nothing":             {"-\u0300", "-\uFFFD"},
		"an invisible mark":             {"a\u034f\ufe0f", "a\uFFFD\uFFFD"},
		"an enclosing mark":             {"a\u20dd", "a\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := CleanLine(c.in); got != c.want {
				t.Errorf("Line(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestEveryUnsafeCharacterIsReplacedEverywhere(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Cs, unicode.Co) {
			continue
		}
		s := "a" + string(r) + "b"
		if strings.ContainsRune(CleanLine(s), r) || (r != utf8.RuneError && utf8.ValidRune(r) && strings.ContainsRune(EscapeExactly(s), r)) {
			t.Errorf("%U is left", r)
		}
		if r != '\n' && r != '\t' && strings.ContainsRune(CleanText(s), r) {
			t.Errorf("%U is left in a text of several lines", r)
		}
		if encoded, err := json.Marshal(s); err != nil || utf8.ValidRune(r) && strings.ContainsRune(string(EscapeJSON(encoded)), r) {
			t.Errorf("%U is left in JSON (%v)", r, err)
		}
	}
}

func TestSeveralLinesAreMarkedAsForeign(t *testing.T) {
	for in, want := range map[string]string{
		"one":                  "one",
		"one\n":                "one",
		"a\r\nb\tc":            "\n  | a\n  | b\tc",
		"x\n\nerror: it is on": "\n  | x\n  | \n  | error: it is on",
		"a\u2028b":             "a b",
		"a\rb":                 "a b",
	} {
		if got := QuoteLines(in); got != want {
			t.Errorf("Quote(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestWhatAPersonDecidesAboutIsShownWhole(t *testing.T) {
	for in, want := range map[string]string{
		"plain":      "plain",
		`C:\x`:       `C:\\x`,
		"\x1b\u202e": `\x1b\u202e`,
		"a\nb":       `a\nb`,
		`"'`:         `"'`,
		"a\u0301":    `a\u0301`,
		"\u3164":     `\u3164`,
		"\u00a0":     `\u00a0`,
	} {
		if got := EscapeExactly(in); got != want {
			t.Errorf("Exact(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestJSONKeepsItsValueWithoutUnsafeCharacters(t *testing.T) {
	for in, want := range map[string]string{
		"{\"a\u202e\": [\"\u009b\", 1e400, true, null]}": `{"a\u202e": ["\u009b", 1e400, true, null]}`,
		`"a\u003eb\/\"\\\n\u001b"`:                       `"a>b/\"\\\n\u001b"`,
		"\"\U000e0041\"":                                 `"\udb40\udc41"`,
		"\"\\ud800\u202e\"":                              `"\ud800\u202e"`,
		"{\n  \"a\": 1\n}":                               "{\n  \"a\": 1\n}",
		"not JSON\x1b":                                   "not JSON\uFFFD",
		"\"\uffff\"":                                     `"\uffff"`,
	} {
		if got := string(EscapeJSON([]byte(in))); got != want {
			t.Errorf("JSON(%q) = %q, want %q", in, got, want)
		}
	}
}

type phase string

type named struct{}

func (named) String() string { return "x\ny" }

func TestOnlyTheFormatBeginsALine(t *testing.T) {
	got := Sprintf("%s %v %s %v %d%%\n%v", "a\nb", errors.New("c\nd"), phase("e\nf"), named{}, 3, nil)
	if want := "a b c d e f x y 3%\n<nil>"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestACutEndsBetweenCharacters(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{{"aäö", 4, "aä"}, {"abcd", 4, "abcd"}, {"abcd", 0, ""}, {"ä", 1, ""}} {
		if got := truncateBytes(c.in, c.limit); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
	if got := Shorten("äöü", 2); got != "ä…" {
		t.Errorf("got %q", got)
	}
}

func FuzzCleaners(f *testing.F) {
	f.Add("a\xf0\x9f\x92\u202e\n", 3)
	f.Add("{\"a\\ud800\":\"\u200b\\\\\"}", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(limit, 0)
		line := CleanLine(s)
		if CleanLine(line) != line || !utf8.ValidString(line) || strings.ContainsAny(line, "\n\t") {
			t.Errorf("Line(%q) = %q", s, line)
		}
		if got := truncateBytes(line, limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("cut(%q, %d) = %q", line, limit, got)
		}
		if got := Truncate(s, limit); len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("Truncate(%q, %d) = %q", s, limit, got)
		}
		if text := CleanText(s); CleanText(text) != text {
			t.Errorf("Text(%q) = %q", s, text)
		}
		for _, quoted := range strings.Split(QuoteLines(s), "\n")[1:] {
			if !strings.HasPrefix(quoted, quoteMark) {
				t.Errorf("Quote(%q) has the line %q", s, quoted)
			}
		}
		var before, after any
		if json.Unmarshal([]byte(s), &before) == nil {
			if err := json.Unmarshal(EscapeJSON([]byte(s)), &after); err != nil || !reflect.DeepEqual(before, after) {
				t.Errorf("JSON(%q) = %q: %v", s, EscapeJSON([]byte(s)), err)
			}
		}
	})
}

func TestAReasonThatIsCutKeepsItsEnd(t *testing.T) {
	for in, want := range map[string]string{
		"short": "short", "0123456789": "0123456789", "01234567890": "…4567890", "aaaaaaaaéé\n": "…aaéé ", "aaaaaaaaéééé": "…ééé", "": "", "\x1b[2J long cause": "…g cause",
	} {
		if got := TruncateLineStart(in, 10); got != want || len(got) > 10 {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestATextForAMessageIsValidAndKeepsItsLines(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"a\n\x1b\u202e", 10, "a\n\x1b\u202e"}, {"aäö", 4, "aä"}, {"a\xff\xfeb", 10, "a\uFFFDb"},
		{"\x80\x80\x80", 3, "\uFFFD"}, {"aä\xc3", 4, "aä"}, {"ab", 0, ""},
	} {
		if got := Truncate(c.in, c.limit); got != c.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", c.in, c.limit, got, c.want)
		}
	}
}

func TestTheFirstUnsafeCharacterIsFound(t *testing.T) {
	for text, want := range map[string]rune{"": 0, "a\n\tb ä": 0, "a\u202e\u009b": '\u202e', "a\x1b": '\x1b', "\xff": '\uFFFD'} {
		if got, found := FindUnsafe(text); got != want || found != (want != 0) {
			t.Errorf("Unsafe(%q) = %q, %t, want %q", text, got, found, want)
		}
	}
}

func TestATextOfExactlyItsLimitIsNotCut(t *testing.T) {
	if got := Shorten("äö", 2); got != "äö" {
		t.Errorf("Shorten = %q", got)
	}
	if got := BriefLine(strings.Repeat("ä", maxBrief)); got != strings.Repeat("ä", maxBrief) {
		t.Errorf("Brief has %d bytes", len(got))
	}
	if got := TruncateLineStart("abcd", 2); got != "…" { // no byte is left beside the ellipsis
		t.Errorf("ShortEnd = %q", got)
	}
}
