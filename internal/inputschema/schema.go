// Package inputschema checks the inputs of dispatches against the JSON schemas of
// capabilities: the machine checks what it is offered by its own schemas (Compile), a gateway
// what it is about to offer by those of the machine, which is not trusted (CompileForeign,
// CheckWithin). Both say the same of the same input.
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

// maxFindings bounds how many of the mistakes in an input are named.
const maxFindings = 5

const schemaURL = "mooring:input"

// Schema checks inputs; a nil one takes any object. It is for concurrent use.
type Schema struct {
	compiled *jsonschema.Schema
	weight   weight
}

// Compile reads a JSON schema (draft 2020-12 unless it names another) of at most MaxBytes. It
// may refer to itself, not to files or addresses: nothing outside of it decides what runs.
// nil is the schema of a capability without one.
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
		return nil, inWordsOfTheSchema(err)
	}
	return &Schema{compiled: compiled}, nil
}

// inWordsOfTheSchema names the places of the mistakes in the schema, without the words of the
// library and of the metaschema.
func inWordsOfTheSchema(err error) error {
	wrong, loading, invalid := (*jsonschema.SchemaValidationError)(nil), (*jsonschema.LoadURLError)(nil), (*jsonschema.ValidationError)(nil)
	switch {
	case errors.As(err, &wrong) && errors.As(wrong.Err, &invalid):
		return errors.New(strings.Join(findings(invalid, nil), "; "))
	case errors.As(err, &loading):
		return loading.Err
	default:
		return errors.New(strings.ReplaceAll(err.Error(), schemaURL, ""))
	}
}

type noLoader struct{}

// Load refuses.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema may not refer to %s", url)
}

// Check returns what is wrong with an input, for the person who wrote it.
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
		return errors.New("the input does not fit the schema: " + strings.Join(findings(invalid, nil), "; "))
	default:
		return fmt.Errorf("the input cannot be checked: %w", err)
	}
}

var english = message.NewPrinter(language.English)

// findings are the mistakes at the ends of the tree, each with its place.
func findings(e *jsonschema.ValidationError, found []string) []string {
	for _, cause := range e.Causes {
		found = findings(cause, found)
	}
	if len(e.Causes) > 0 || len(found) >= maxFindings {
		return found
	}
	text := e.ErrorKind.LocalizedString(english)
	if len(e.InstanceLocation) > 0 {
		text = strings.Join(e.InstanceLocation, ".") + ": " + text
	}
	return append(found, text)
}
