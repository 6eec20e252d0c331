// Package jsontext encodes and measures JSON as its author wrote it.
//
// encoding/json escapes <, >, &, U+2028 and U+2029 with six characters each, as do the API server
// and client-go. An output of 250 KB of XML then takes 1.5 MB. All product code encodes with this
// package, so that a limit counts the bytes that a program printed or a user typed. Only this
// package calls the encoders of encoding/json; a test searches the sources for other calls. It
// imports only the standard library, because the agent uses it too.
package jsontext

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// Marshal encodes a value like json.Marshal, without the escapes for HTML.
func Marshal(value any) ([]byte, error) {
	text, err := encode(value, "")
	if err != nil {
		return nil, err
	}
	return StripEscapes(text), nil
}

// MarshalIndent encodes a value like [Marshal], for people: each value is on a line of its own.
func MarshalIndent(value any, indent string) ([]byte, error) {
	text, err := encode(value, indent)
	if err != nil {
		return nil, err
	}
	return StripEscapes(text), nil
}

func encode(value any, indent string) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimRight(buffer.Bytes(), "\n"), nil
}

// needlessEscapes maps the escape sequences that an encoder writes unnecessarily to their
// characters. encoding/json writes U+FFFD for bytes that are not UTF-8.
var needlessEscapes = map[string]string{
	"003c": "<", "003e": ">", "0026": "&", "2028": "\u2028", "2029": "\u2029", "fffd": "\uFFFD",
}

// StripEscapes returns a JSON text without the escapes that JSON does not need. Text that is not
// JSON is returned with the same length or shorter. The argument is not changed.
func StripEscapes(text []byte) []byte {
	if !bytes.Contains(text, []byte(`\u`)) {
		return text
	}
	plain := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			plain = append(plain, text[i])
			continue
		}
		if i+6 <= len(text) && text[i+1] == 'u' {
			if character, ok := needlessEscapes[string(bytes.ToLower(text[i+2:i+6]))]; ok {
				plain = append(plain, character...)
				i += 5
				continue
			}
		}
		plain = append(plain, text[i], text[i+1])
		i++
	}
	return plain
}

// QuotePrefix returns the longest beginning of text as a JSON string. The string takes at most
// limit bytes here and at most stored bytes as the API server writes it. It is cut between
// characters; bytes that are not UTF-8 become U+FFFD. It is `""` if no character fits.
func QuotePrefix(text []byte, limit, stored int) []byte {
	quoted := []byte{'"'}
	remaining := stored - len(`""`)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		piece := quoteRune(r)
		if remaining -= storedRuneSize(r, len(piece)); remaining < 0 || len(quoted)+len(piece) > limit-1 {
			break
		}
		quoted = append(quoted, piece...)
		text = text[size:]
	}
	return append(quoted, '"')
}

const hex = "0123456789abcdef"

// quoteRune returns a character in the form that it has in a JSON string.
func quoteRune(r rune) string {
	switch {
	case r == '"' || r == '\\':
		return `\` + string(r)
	case r == '\n':
		return `\n`
	case r == '\r':
		return `\r`
	case r == '\t':
		return `\t`
	case r < ' ':
		return `\u00` + string(hex[r>>4]) + string(hex[r&0xF])
	default:
		return string(r)
	}
}

// storedRuneSize returns the number of bytes that the API server writes for a character of plain
// bytes here.
func storedRuneSize(r rune, plain int) int {
	switch r {
	case '<', '>', '&', '\u2028', '\u2029':
		return len(`\u003c`)
	}
	return plain
}
