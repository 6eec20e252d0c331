package plugin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// maxInputBytes is the most that a request to the API server can hold; more is surely a wrong file.
const maxInputBytes = 1 << 20

// readInput reads the value of --input: JSON itself, - for standard input, or @FILE. Without the
// flag it returns no input, which the capability receives as an empty object.
func readInput(flag string, given bool, stdin io.Reader) (*v1alpha1.JSON, error) {
	if !given {
		return nil, nil
	}
	source, reader := "--input", io.Reader(strings.NewReader(flag))
	switch {
	case flag == "-":
		source, reader = "standard input", stdin
	case strings.HasPrefix(flag, "@"):
		file, err := os.Open(flag[1:])
		if err != nil {
			return nil, usageErrorf("read --input: %w", err)
		}
		defer file.Close()
		source, reader = flag[1:], file
	}
	raw, err := io.ReadAll(io.LimitReader(reader, maxInputBytes+1))
	if err != nil {
		return nil, usageErrorf("read %s: %w", source, err)
	}
	object, err := parseJSONObject(raw)
	if err != nil {
		return nil, usageErrorf("%s %w\nGive a JSON object such as --input '{\"text\":\"hello\"}', --input @FILE, or --input - for standard input", source, err)
	}
	return &v1alpha1.JSON{Raw: object}, nil
}

// parseJSONObject checks that the bytes are one JSON object and returns it without white space.
func parseJSONObject(raw []byte) ([]byte, error) {
	if len(raw) > maxInputBytes {
		return nil, fmt.Errorf("is larger than %d bytes", maxInputBytes)
	}
	trimmed := bytes.TrimSpace(raw)
	if len(trimmed) == 0 {
		return nil, errors.New("is empty")
	}
	// Unlike Compact, Unmarshal reports the position of an error.
	var value json.RawMessage
	if err := json.Unmarshal(trimmed, &value); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("is not JSON: %w (at byte %d)", err, syntax.Offset)
		}
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	if kind := jsonKind(trimmed[0]); kind != "" {
		return nil, fmt.Errorf("is %s, not an object", kind)
	}
	if number := cmp.Or(jsontext.FindBeyondInt64(value), jsontext.FindRounded(value)); number != "" {
		return nil, fmt.Errorf("holds the number %.40s, which the API server would not keep exactly: write it as a string", number)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	return compact.Bytes(), nil
}

// jsonKind names a JSON value by its first byte; empty for an object.
func jsonKind(first byte) string {
	switch first {
	case '{':
		return ""
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
