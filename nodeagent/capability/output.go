package capability

import (
	"encoding/json"
	"unicode/utf8"
)

// Bound keeps an output within limit bytes. Of a longer string the longest prefix that
// fits is kept; anything else that is longer becomes a string with a prefix of its
// text: still JSON, still readable, and never mistaken for a whole answer, since
// truncated is reported with it. A limit too small for any string (under 2) keeps
// nothing.
func Bound(output json.RawMessage, limit int) (kept json.RawMessage, truncated bool) {
	if len(output) <= limit {
		return output, false
	}
	if limit < len(`""`) {
		return nil, true
	}
	rest := []byte(output)
	if text := ""; json.Unmarshal(output, &text) == nil {
		rest = []byte(text)
	}
	kept = append(kept, '"')
	for len(rest) > 0 {
		_, size := utf8.DecodeRune(rest)
		quoted := quote(rest[:size])
		if len(kept)+len(quoted) > limit-1 {
			break
		}
		kept = append(kept, quoted...)
		rest = rest[size:]
	}
	return append(kept, '"'), true
}

// quote is one character as it stands in a JSON string; what is not UTF-8 becomes U+FFFD.
func quote(character []byte) []byte {
	quoted, err := json.Marshal(string(character))
	if err != nil {
		return nil // a string always encodes
	}
	return quoted[1 : len(quoted)-1]
}
