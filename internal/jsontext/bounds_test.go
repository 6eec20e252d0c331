package jsontext

import (
	"slices"
	"testing"
)

// Each text has no spare capacity, so that a read beyond its end fails the test.
func TestATextIsReadToItsEndAndNotBeyond(t *testing.T) {
	for text, want := range map[string]string{
		`\u003c`: `<`, `\u003c\`: `<\`, `\u003c\u`: `<\u`, `\u003`: `\u003`, `a\u003c\u00`: `a<\u00`,
	} {
		if got := string(StripEscapes(slices.Clip([]byte(text)))); got != want {
			t.Errorf("Plain(%s) = %s, want %s", text, got, want)
		}
	}
	escape := []byte(`\u003c`)
	if got := string(StripEscapes(escape[:5])); got != `\u003` {
		t.Errorf("an escape without its end became %s", got)
	}
	for _, text := range []string{`"1e400`, `"1e400\`, `"`, `"\`, `{"a":"1e400`} {
		if got := FindRounded(slices.Clip([]byte(text))); got != "" {
			t.Errorf("Rounded(%s) = %s, want none: it is in a string", text, got)
		}
	}
}

func TestASpaceIsQuotedAsItIs(t *testing.T) {
	for text, want := range map[string]string{" ": `" "`, "\x1f": `"\u001f"`, "a b": `"a b"`} {
		if got := string(QuotePrefix([]byte(text), 99, 99)); got != want {
			t.Errorf("Quote(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestLeadingZerosAreNoDigits(t *testing.T) {
	for number, rounded := range map[string]bool{"0.00001e25": false, "0.000018446744073709551615e24": true, "-0.0001e24": false} {
		if got := FindRounded([]byte(number)); got != "" != rounded {
			t.Errorf("Rounded(%s) = %q", number, got)
		}
	}
}
