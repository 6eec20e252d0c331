package foreign

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
)

// EscapeJSON returns a JSON text with the same value whose strings contain no unsafe characters:
// they become escapes such as \u202e. Escapes of safe characters, such as \u003e, become the
// characters. Text that is not JSON is cleaned by [CleanText].
func EscapeJSON(raw []byte) []byte {
	if !json.Valid(raw) {
		return []byte(CleanText(string(raw)))
	}
	escaped := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			escaped = append(escaped, raw[i])
			continue
		}
		end := i + 1
		for raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		escaped = append(escaped, quoteJSON(raw[i:end+1])...)
		i = end
	}
	return escaped
}

// quoteJSON returns a JSON string with the same value without unsafe characters. A string with half
// of a surrogate pair keeps its escapes, because no Go string can hold such a value; only its
// unsafe characters are replaced.
func quoteJSON(literal []byte) []byte {
	var value string
	if json.Unmarshal(literal, &value) != nil {
		return literal
	}
	if strings.Contains(strings.ToLower(string(literal)), `\ud`) {
		return escapeUnsafe(string(literal), "")
	}
	return append(append([]byte{'"'}, escapeUnsafe(value, `"\`)...), '"')
}

// escapeUnsafe returns s with unsafe characters, and the characters in escaped, as JSON escapes.
func escapeUnsafe(s, escaped string) []byte {
	var c cleaner
	var out []byte
	for _, r := range s {
		switch cleaned := c.clean(r); {
		case strings.ContainsRune(escaped, r):
			out = append(out, '\\', byte(r))
		case cleaned == r:
			out = append(out, string(r)...)
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\t':
			out = append(out, `\t`...)
		case r == '\r':
			out = append(out, `\r`...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
