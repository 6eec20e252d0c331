package foreign

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
)

// JSON returns a JSON text with the same value whose strings contain no unsafe characters: they
// become escapes such as \u202e. Escapes of safe characters, such as \u003e, become the characters.
// Text that is not JSON is cleaned by [Text].
func JSON(raw []byte) []byte {
	if !json.Valid(raw) {
		return []byte(Text(string(raw)))
	}
	made := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			made = append(made, raw[i])
			continue
		}
		end := i + 1
		for raw[end] != '"' {
			if raw[end] == '\\' {
				end++
			}
			end++
		}
		made = append(made, quoteJSON(raw[i:end+1])...)
		i = end
	}
	return made
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
		return escape(string(literal), "")
	}
	return append(append([]byte{'"'}, escape(value, `"\`)...), '"')
}

// escape returns s with unsafe characters, and the characters in escaped, as JSON escapes.
func escape(s, escaped string) []byte {
	var c cleaner
	var made []byte
	for _, r := range s {
		switch cleaned := c.clean(r); {
		case strings.ContainsRune(escaped, r):
			made = append(made, '\\', byte(r))
		case cleaned == r:
			made = append(made, string(r)...)
		case r == '\n':
			made = append(made, `\n`...)
		case r == '\t':
			made = append(made, `\t`...)
		case r == '\r':
			made = append(made, `\r`...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			made = fmt.Appendf(made, `\u%04x\u%04x`, high, low)
		default:
			made = fmt.Appendf(made, `\u%04x`, r)
		}
	}
	return made
}
