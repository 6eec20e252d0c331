package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// schema checks inputs; a nil one takes any object.
type schema struct{ compiled *jsonschema.Schema }

const schemaURL = "mooring:input"

// maxFindings bounds how many of the mistakes in an input are named.
const maxFindings = 5

// compile reads a JSON schema (draft 2020-12 unless it names another). It may refer to
// itself, not to files or addresses: nothing outside of it decides what runs.
func compile(text json.RawMessage) (*schema, error) {
	if text == nil {
		return nil, nil
	}
	if len(text) > MaxSchemaBytes {
		return nil, fmt.Errorf("it has %d bytes, at most %d can be declared", len(text), MaxSchemaBytes)
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
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, err
	}
	return &schema{compiled}, nil
}

// CheckSchema says what is wrong with a schema, nil when it can be used.
func CheckSchema(text json.RawMessage) error {
	_, err := compile(text)
	return err
}

type noLoader struct{}

// Load refuses.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a schema may not refer to %s", url)
}

func (s *schema) check(input json.RawMessage) error {
	if s == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(input))
	if err != nil {
		return errNotObject
	}
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
