package jsontext

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestMarshalWritesWhatNeedsNoEscapeAsItIs(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{"<a & b>", `"<a & b>"`},
		{"\u2028\u2029", "\"\u2028\u2029\""},
		{"\xff", "\"\uFFFD\""},
		{`\u003c and \`, `"\\u003c and \\"`},
		{json.RawMessage(`{"a": "<\u003c\\u003c"}`), `{"a":"<<\\u003c"}`},
		{map[string]string{"<": "\x00\"\n"}, `{"<":"\u0000\"\n"}`},
	} {
		got, err := Marshal(c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("%q: %s, %v, want %s", c.value, got, err, c.want)
		}
	}
	if got, err := MarshalIndent(map[string]string{"a": "<"}, "  "); err != nil || string(got) != "{\n  \"a\": \"<\"\n}" {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := Marshal(math.NaN()); err == nil {
		t.Error("a value without JSON is encoded")
	}
}

func TestQuoteKeepsTheLongestBeginningThatFits(t *testing.T) {
	for _, c := range []struct {
		text          string
		limit, stored int
		want          string
	}{
		{"abc", 5, 99, `"abc"`},
		{"abc", 4, 99, `"ab"`},
		{"é", 3, 99, `""`},
		{"a\"", 4, 99, `"a"`},
		{"<<<", 5, 14, `"<<"`},
		{"a\xffb", 99, 99, "\"a\uFFFDb\""},
		{"abc", 0, 0, `""`},
	} {
		if got := string(QuotePrefix([]byte(c.text), c.limit, c.stored)); got != c.want {
			t.Errorf("%q within %d and %d: %s, want %s", c.text, c.limit, c.stored, got, c.want)
		}
	}
}

// FuzzQuote checks that a quoted text is JSON, is within its bounds, and equals a beginning of the
// text.
func FuzzQuote(f *testing.F) {
	f.Add([]byte("<b>\x00\xff\u2028é"), 12, 20)
	f.Fuzz(func(t *testing.T, text []byte, limit, stored int) {
		quoted := QuotePrefix(text, limit, stored)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%s: %v", quoted, err)
		}
		if !strings.HasPrefix(strings.ToValidUTF8(string(text), "\uFFFD"), got) && !strings.HasPrefix(string(bytes.ToValidUTF8(text, []byte("\uFFFD"))), got) && !strings.HasPrefix(string([]rune(string(text))), got) {
			t.Errorf("%q is no beginning of %q", got, text)
		}
		if encoded, _ := json.Marshal(got); len(quoted) > max(limit, 2) || len(encoded) > max(stored, 2) && !strings.Contains(got, "\uFFFD") {
			t.Errorf("%s takes %d and %d bytes, at most %d and %d", quoted, len(quoted), len(encoded), limit, stored)
		}
	})
}

// FuzzPlain checks that [StripEscapes] makes no JSON text longer and keeps its value.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{`{"\u003c":"\\u003c\u2028\\\u0026"}`, `"\uFFFD\ufffd\ud800"`, `"\`, `\u003`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		plain := StripEscapes(text)
		if len(plain) > len(text) {
			t.Errorf("%q became %q", text, plain)
		}
		var before, after any
		if json.Unmarshal(text, &before) == nil && (json.Unmarshal(plain, &after) != nil || !reflect.DeepEqual(before, after)) {
			t.Errorf("%q has another value than %q", plain, text)
		}
	})
}

func TestStoredLenIsThatOfTheAPIServer(t *testing.T) {
	for text, want := range map[string]int{
		`"<>&"`:         20,
		"\"\u2028\"":    8,
		`[ 1 , 2 ]`:     5,
		`1e20`:          21,
		`{"a":{"<":1}}`: len(`{"a":{"\u003c":1}}`) + len(`"a"`) + len(`"\u003c"`) + 2*fieldBytes,
		`[{"a":1}]`:     9,
		`{"a":`:         0,
	} {
		if got := StoredSize([]byte(text)); got != want {
			t.Errorf("%s takes %d bytes, want %d", text, got, want)
		}
	}
}

// FuzzStoredLen checks that no text grows more than MaxGrowth times, plus a few bytes around it.
func FuzzStoredLen(f *testing.F) {
	for _, seed := range []string{`{"<":0}`, `[1e20,1e20]`, `{"":{"":{}}}`, `"<<<<<"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got := StoredSize(text); got > MaxGrowth*len(text)+fieldBytes {
			t.Errorf("%q takes %d bytes, %d were written", text, got, len(text))
		}
	})
}
