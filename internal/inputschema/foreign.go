package inputschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// Bounds of a schema that somebody else made. They hold what it takes to compile it and to keep
// it; what it takes to check with it depends on the input, too (CheckWithin).
const (
	maxDepth = 32
	// maxSubschemas counts a subschema as often as it is referred to.
	maxSubschemas = 256
	// maxPatternBytes bounds the text of all regular expressions together, maxPatternSteps
	// their programs.
	maxPatternBytes = 1 << 10
	maxPatternSteps = 4 << 10
)

// ErrUnchecked says that a check would take more work than it may.
var ErrUnchecked = errors.New("the check takes too much work")

// CompileForeign is Compile for a schema that is not trusted: it errs, too, where compiling it
// or keeping it could cost much.
func CompileForeign(text []byte) (made *Schema, err error) {
	// The library is used on hostile text; a schema is not worth this process.
	defer func() {
		if p := recover(); p != nil {
			made, err = nil, fmt.Errorf("it cannot be compiled: %v", p)
		}
	}()
	if jsontext.Depth(text) > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	if err := json.Unmarshal(text, new(any)); len(text) > 0 && err != nil {
		return nil, fmt.Errorf("it is not JSON, or holds a number of too many digits: %w", err) // 1e999999 takes a while
	}
	patterns := &patterns{known: map[string]*pattern{}}
	s, err := compile(text, patterns.compile)
	if s == nil || err != nil {
		return nil, err
	}
	if s.weight, err = weigh(s.compiled); err != nil {
		return nil, err
	}
	return s, nil
}

// stepBytes is how many bytes a regular expression passes at the cost of one subschema applied
// to one value (measured: 10 ns a byte, 250 ns to 1 us).
const stepBytes = 16

// CheckWithin is Check with a schema of CompileForeign, if it takes at most that many steps of up
// to a microsecond, else ErrUnchecked: each subschema is applied to each value of the input at
// most once, each instruction of a regular expression to each byte.
func (s *Schema) CheckWithin(input []byte, steps int) (err error) {
	if s == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(input))
	if err != nil {
		return ErrUnchecked // the API server stores no such thing
	}
	if s.weight.subschemas*valuesIn(value)+s.weight.patternSteps*len(input)/stepBytes > steps {
		return ErrUnchecked
	}
	defer func() {
		if p := recover(); p != nil {
			err = ErrUnchecked
		}
	}()
	return s.check(value)
}

// valuesIn counts the values of a decoded JSON value, names of properties included.
func valuesIn(value any) int {
	count := 1
	switch v := value.(type) {
	case map[string]any:
		for _, child := range v {
			count += 1 + valuesIn(child)
		}
	case []any:
		for _, child := range v {
			count += valuesIn(child)
		}
	}
	return count
}
