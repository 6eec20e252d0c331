package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

const (
	defaultPayloadBytes = 65536 // spec.maxPayloadBytes
	maxErrorChars       = 4096  // status.error.message
	maxCodeChars        = 64    // status.error.code
	maxDepth            = 64    // levels of nested values; every reader of the object recurses
	// maxAge bounds the time since the start of a run that is settled now: the longest expiry plus
	// the longest run time.
	maxAge = 8 * 24 * time.Hour
)

// payload is an output in a form that can be stored.
type payload struct {
	value     *v1alpha1.JSON // nil if there was no output or it was null
	truncated bool
}

// clean returns an output in a form that can be stored. limit is in bytes; 0 means the default. An
// output that is longer becomes a JSON string that holds its beginning. So does an output that was
// cut in transit and is not valid JSON any more. The error is the reason why the API server would
// reject the output.
func clean(raw []byte, limit int32, cut bool) (payload, error) {
	if limit <= 0 {
		limit = defaultPayloadBytes
	}
	if len(raw) == 0 {
		return payload{}, nil
	}
	if !utf8.Valid(raw) {
		return payload{}, errors.New("the output is not UTF-8")
	}
	raw = jsontext.Plain(raw) // agents of earlier versions send escapes
	if len(raw) > int(limit) || (cut && !json.Valid(raw)) {
		return payload{value: &v1alpha1.JSON{Raw: jsontext.Quote(raw, int(limit), math.MaxInt)}, truncated: true}, nil
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return payload{}, fmt.Errorf("the output is not a JSON value: %w", err)
	}
	if depth(value) > maxDepth {
		return payload{}, fmt.Errorf("the output is nested deeper than %d levels", maxDepth)
	}
	if number := jsontext.Rounded(raw); number != "" {
		return payload{}, fmt.Errorf("the output holds the number %s, which the API server would round: print it as a string", shorten(number))
	}
	if value == nil {
		return payload{}, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return payload{}, fmt.Errorf("the output is not a JSON value: %w", err)
	}
	return payload{value: &v1alpha1.JSON{Raw: compact.Bytes()}}, nil
}

// shorten cuts a number with very many digits for a message.
func shorten(number string) string {
	if len(number) > 40 {
		return number[:40] + "…"
	}
	return number
}

func depth(value any) int {
	deepest := 0
	switch v := value.(type) {
	case map[string]any:
		for _, child := range v {
			deepest = max(deepest, depth(child))
		}
	case []any:
		for _, child := range v {
			deepest = max(deepest, depth(child))
		}
	default:
		return 0
	}
	return deepest + 1
}

// word returns s if it is a valid error code, else "".
func word(s string) string {
	if len(s) > maxCodeChars || !reasonPattern.MatchString(s) {
		return ""
	}
	return s
}

// text cleans foreign text of several lines for people and for the API, and cuts it to limit
// characters.
func text(s string, limit int) string {
	return foreign.Shorten(foreign.Text(s), limit)
}

// line cleans foreign text like `text`, and joins it into one line.
func line(s string, limit int) string {
	return foreign.Shorten(foreign.Line(s), limit)
}

// within limits a time reported by a machine to the possible range at now.
func within(told, now time.Time) time.Time {
	if earliest := now.Add(-maxAge); told.Before(earliest) {
		return earliest
	}
	if told.After(now) {
		return now
	}
	return told
}
