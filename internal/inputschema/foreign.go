package inputschema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// Bounds of a foreign schema. They limit the cost to compile and to keep it. The cost of a check
// also depends on the input; see CheckWithin.
const (
	maxDepth = 32
	// maxSubschemas bounds the subschemas; each counts once per reference to it.
	maxSubschemas = 256
	// maxPatternBytes bounds the total text of all regular expressions, maxPatternSteps the total
	// of their programs.
	maxPatternBytes = 1 << 10
	maxPatternSteps = 4 << 10
)

// ErrTooExpensive means that a check would exceed its limit of work.
var ErrTooExpensive = errors.New("the check takes too much work")

// CompileForeign compiles a schema that is not trusted. In addition to the errors of [Compile] it
// returns an error if the schema could be expensive to compile or to keep.
func CompileForeign(text []byte) (schema *Schema, err error) {
	// The library runs on hostile text, and a schema must not crash this process.
	defer func() {
		if p := recover(); p != nil {
			schema, err = nil, fmt.Errorf("it cannot be compiled: %v", p)
		}
	}()
	if jsontext.Depth(text) > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	if err := json.Unmarshal(text, new(any)); len(text) > 0 && err != nil {
		return nil, fmt.Errorf("it is not JSON, or holds a number of too many digits: %w", err) // 1e999999 takes long to decode
	}
	patterns := &patternCompiler{compiled: map[string]*pattern{}}
	s, err := compile(text, patterns.compile)
	if s == nil || err != nil {
		return nil, err
	}
	if s.weight, err = measureWeight(s.compiled); err != nil {
		return nil, err
	}
	return s, nil
}

// stepBytes is the number of bytes that a regular expression processes for the cost of one step. A
// step is one subschema applied to one value (measured: 10 ns a byte, 250 ns to 1 us a step).
const stepBytes = 16

// CheckWithin checks an input with a schema of [CompileForeign], in a limited number of steps of up
// to a microsecond each. If the check could take more, it returns [ErrTooExpensive]. Each subschema
// is applied to each value of the input at most once, and each instruction of a regular expression
// to each byte.
func (s *Schema) CheckWithin(input []byte, steps int) (err error) {
	if s == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(input))
	if err != nil {
		return ErrTooExpensive // the API server never stores such an input
	}
	if s.weight.subschemas*countValues(value)+s.weight.patternSteps*len(input)/stepBytes > steps {
		return ErrTooExpensive
	}
	defer func() {
		if p := recover(); p != nil {
			err = ErrTooExpensive
		}
	}()
	return s.check(value)
}

// countValues counts the values in a decoded JSON value, including names of properties.
func countValues(value any) int {
	count := 1
	switch v := value.(type) {
	case map[string]any:
		for _, child := range v {
			count += 1 + countValues(child)
		}
	case []any:
		for _, child := range v {
			count += countValues(child)
		}
	}
	return count
}
