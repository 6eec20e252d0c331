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
	// maxRunAge bounds the time since the start of a run that is settled now: the longest expiry plus
	// the longest run time.
	maxRunAge = 8 * 24 * time.Hour
)

// payload is an output in a form that can be stored.
type payload struct {
	value     *v1alpha1.JSON // nil if there was no output or it was null
	truncated bool
}

// cleanOutput returns an output in a form that can be stored. limit is in bytes; 0 means the
// default. An output that is longer becomes a JSON string that holds its beginning. So does an
// output that was cut in transit and is not valid JSON any more. The error is the reason why the
// API server would reject the output.
func cleanOutput(raw []byte, limit int32, wasCut bool) (payload, error) {
	if limit <= 0 {
		limit = defaultPayloadBytes
	}
	if len(raw) == 0 {
		return payload{}, nil
	}
	if !utf8.Valid(raw) {
		return payload{}, errors.New("the output is not UTF-8")
	}
	raw = jsontext.StripEscapes(raw) // agents of earlier versions send escapes
	if len(raw) > int(limit) || (wasCut && !json.Valid(raw)) {
		return payload{value: &v1alpha1.JSON{Raw: jsontext.QuotePrefix(raw, int(limit), math.MaxInt)}, truncated: true}, nil
	}
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return payload{}, fmt.Errorf("the output is not a JSON value: %w", err)
	}
	if jsonDepth(value) > maxDepth {
		return payload{}, fmt.Errorf("the output is nested deeper than %d levels", maxDepth)
	}
	if number := jsontext.FindRounded(raw); number != "" {
		return payload{}, fmt.Errorf("the output holds the number %s, which the API server would round: print it as a string", shortenNumber(number))
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

// shortenNumber cuts a number with very many digits for a message.
func shortenNumber(number string) string {
	if len(number) > 40 {
		return number[:40] + "…"
	}
	return number
}

func jsonDepth(value any) int {
	deepest := 0
	switch v := value.(type) {
	case map[string]any:
		for _, child := range v {
			deepest = max(deepest, jsonDepth(child))
		}
	case []any:
		for _, child := range v {
			deepest = max(deepest, jsonDepth(child))
		}
	default:
		return 0
	}
	return deepest + 1
}

// validErrorCode returns s if it is a valid error code, else "".
func validErrorCode(s string) string {
	if len(s) > maxCodeChars || !reasonPattern.MatchString(s) {
		return ""
	}
	return s
}

// cleanText cleans foreign text of several lines for people and for the API, and cuts it to limit
// characters.
func cleanText(s string, limit int) string {
	return foreign.Shorten(foreign.CleanText(s), limit)
}

// cleanLine cleans foreign text like `cleanText`, and joins it into one line.
func cleanLine(s string, limit int) string {
	return foreign.Shorten(foreign.CleanLine(s), limit)
}

// clampTime limits a time reported by a machine to the possible range at now.
func clampTime(reported, now time.Time) time.Time {
	if earliest := now.Add(-maxRunAge); reported.Before(earliest) {
		return earliest
	}
	if reported.After(now) {
		return now
	}
	return reported
}
