// Package yamlfile reads the YAML files that the user of a machine writes. Its errors name the line
// and use the words of the file, not those of the program.
package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Decode reads content, one document, into a struct. Unknown and repeated keys are errors. A file
// without a value leaves the struct as it is.
func Decode(content []byte, into any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return userError(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the file must hold one document, without ---")
	}
	return nil
}

var (
	unknownKey = regexp.MustCompile(`field (.*) not found in type \S+`)
	wrongKey   = regexp.MustCompile(`invalid map key: .*`)
	wrongKind  = regexp.MustCompile("cannot unmarshal !!(\\w+)( `.*`)? into (.*)")
)

// kinds are the tags of YAML in words.
var kinds = map[string]string{
	"seq": "a list", "map": "a group of keys", "str": "a text", "int": "a number", "float": "a number", "bool": "true or false", "null": "nothing", "timestamp": "a time",
}

func userError(err error) error {
	mistakes := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if typed := (*yaml.TypeError)(nil); errors.As(err, &typed) {
		mistakes = typed.Errors
	}
	for i, mistake := range mistakes {
		mistake = wrongKey.ReplaceAllString(mistake, "a key must be a text")
		mistake = unknownKey.ReplaceAllString(mistake, `key "$1" is unknown`)
		mistakes[i] = wrongKind.ReplaceAllStringFunc(mistake, func(text string) string {
			parts := wrongKind.FindStringSubmatch(text)
			return fmt.Sprintf("%s%s is not %s", kinds[parts[1]], parts[2], kindOfType(parts[3]))
		})
	}
	return errors.New(strings.Join(mistakes, "; "))
}

// kindOfType returns the user's word for a Go type.
func kindOfType(goType string) string {
	switch goType {
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	case "int", "int64", "float64":
		return "a number"
	}
	if strings.HasPrefix(goType, "[]") {
		return "a list"
	}
	return "a group of keys"
}

// JSON converts a decoded value to a form that JSON can represent. Keys that are numbers, true or
// false become texts. path names the value in errors.
func JSON(path string, value any) (any, error) {
	switch v := value.(type) {
	case map[any]any:
		named := make(map[string]any, len(v))
		for key, child := range v {
			name, err := keyText(path, key)
			if err != nil {
				return nil, err
			}
			if _, twice := named[name]; twice {
				return nil, fmt.Errorf("%s: key %q is there twice, once as a text", path, name)
			}
			named[name] = child
		}
		return JSON(path, named)
	case map[string]any:
		converted := maps.Clone(v)
		for key, child := range v {
			var err error
			if converted[key], err = JSON(path+"."+key, child); err != nil {
				return nil, err
			}
		}
		return converted, nil
	case []any:
		converted := make([]any, len(v))
		for i, child := range v {
			var err error
			if converted[i], err = JSON(fmt.Sprintf("%s[%d]", path, i), child); err != nil {
				return nil, err
			}
		}
		return converted, nil
	case float64:
		if v != v || v > 1e308 || v < -1e308 {
			return nil, fmt.Errorf("%s: JSON has no number %v", path, v)
		}
	}
	return value, nil
}

func keyText(at string, key any) (string, error) {
	switch key.(type) {
	case string, int, int64, uint64, bool:
		return fmt.Sprint(key), nil
	}
	return "", fmt.Errorf("%s: key %v must be a text; put it in quotes", at, key)
}
