package jsontext

import "testing"

func TestDepthCountsBracketsOutsideOfStrings(t *testing.T) {
	for text, want := range map[string]int{
		``: 0, `1`: 0, `"[{"`: 0, `{}`: 1, `[[],[[]]]`: 3, `{"a":{"b":"}{]["}}`: 2, `{"\"[":[]}`: 2,
	} {
		if got := Depth([]byte(text)); got != want {
			t.Errorf("Depth(%s) = %d, want %d", text, got, want)
		}
	}
}
