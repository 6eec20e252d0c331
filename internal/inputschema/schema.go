// Package inputschema checks the inputs of dispatches against the JSON schemas of capabilities. The
// machine checks offered inputs with its own schemas (Compile). A gateway checks inputs before an
// offer with the machine's schemas, which are not trusted (CompileForeign, CheckWithin). Both give
// the same result for the same input.
package inputschema

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// MaxBytes is the longest schema that can be declared.
const MaxBytes = 4 << 10

// maxMessages bounds the number of mistakes in an error.
const maxMessages = 5

const schemaURL = "mooring:input"

// Schema checks inputs; a nil Schema accepts any object. It is safe for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	weight   weight
}

// Compile reads a JSON schema of at most MaxBytes; the draft is 2020-12 unless the schema names
// another. The schema may refer to itself but not to files or addresses, so that nothing outside it
// decides which inputs run. It returns nil for nil, the schema of a capability without one.
func Compile(text []byte) (*Schema, error) {
	return compile(text, func(pattern string) (jsonschema.Regexp, error) { return regexp.Compile(pattern) })
}

func compile(text []byte, patterns jsonschema.RegexpEngine) (*Schema, error) {
	if text == nil {
		return nil, nil
	}
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("it has %d bytes, at most %d can be declared", len(text), MaxBytes)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	if _, ok := document.(map[string]any); !ok {
		return nil, errors.New("it is not a JSON object")
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.UseLoader(noLoader{})
	compiler.UseRegexpEngine(patterns)
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, describeCompileError(err)
	}
	return &Schema{compiled: compiled}, nil
}

// describeCompileError returns the mistakes with their places in the schema, without the terms of
// the library and of the metaschema.
func describeCompileError(err error) error {
	wrong, loading, invalid := (*jsonschema.SchemaValidationError)(nil), (*jsonschema.LoadURLError)(nil), (*jsonschema.ValidationError)(nil)
	switch {
	case errors.As(err, &wrong) && errors.As(wrong.Err, &invalid):
		return errors.New(strings.Join(validationMessages(invalid, nil), "; "))
	case errors.As(err, &loading):
		return loading.Err
	default:
		return errors.New(strings.ReplaceAll(err.Error(), schemaURL, ""))
	}
}

type noLoader struct{}

// Load rejects every reference.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema may not refer to %s", url)
}

// Check returns the mistakes in an input, for the person who wrote it.
func (s *Schema) Check(input []byte) error {
	if s == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(input))
	if err != nil {
		return errors.New("the input is not one JSON value")
	}
	return s.check(value)
}

func (s *Schema) check(value any) error {
	invalid := (*jsonschema.ValidationError)(nil)
	switch err := s.compiled.Validate(value); {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		return errors.New("the input does not fit the schema: " + strings.Join(validationMessages(invalid, nil), "; "))
	default:
		return fmt.Errorf("the input cannot be checked: %w", err)
	}
}

var english = message.NewPrinter(language.English)

// validationMessages returns the mistakes at the leaves of the tree, each with its place.
func validationMessages(e *jsonschema.ValidationError, found []string) []string {
	for _, cause := range e.Causes {
		found = validationMessages(cause, found)
	}
	if len(e.Causes) > 0 || len(found) >= maxMessages {
		return found
	}
	text := e.ErrorKind.LocalizedString(english)
	if len(e.InstanceLocation) > 0 {
		text = strings.Join(e.InstanceLocation, ".") + ": " + text
	}
	return append(found, text)
}
