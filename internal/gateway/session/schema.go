package session

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// storedSchema makes the input schema of a capability fit for Node.status: compact JSON of at most
// room bytes, whose texts hold no characters that cannot be printed. It is false for a schema that
// is too large, no JSON object, or refused by the API server's parser. The size is compared before
// the YAML parser runs, which takes a hundred times as long as the JSON parser.
//
// A server-side apply is parsed as YAML, which is not quite a superset of JSON: it refuses
// \/, escaped surrogate pairs, U+FFFE, U+FFFF, U+007F, keys over 1024 characters and keys
// named twice. One such schema would make the whole status of its Node unwritable.
func storedSchema(raw []byte, room int) ([]byte, bool) {
	if len(raw) == 0 || len(raw) > maxSchemaBytes || !utf8.Valid(raw) {
		return nil, false
	}
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil || object == nil {
		return nil, false
	}
	compact, err := jsontext.Marshal(legibleValue(object))
	// To YAML these two are line breaks, even in a quoted text.
	compact = bytes.ReplaceAll(compact, []byte("\u2028"), []byte(`\u2028`))
	compact = bytes.ReplaceAll(compact, []byte("\u2029"), []byte(`\u2029`))
	if err != nil || len(compact) > min(room, maxSchemaBytes) {
		return nil, false
	}
	_, err = yaml.YAMLToJSONStrict(compact)
	return compact, err == nil
}

// legibleValue is a JSON value whose texts are foreign.Text.
func legibleValue(value any) any {
	switch v := value.(type) {
	case string:
		return foreign.Text(v)
	case []any:
		for i := range v {
			v[i] = legibleValue(v[i])
		}
		return v
	case map[string]any:
		made := make(map[string]any, len(v))
		for key, child := range v {
			made[legibleValue(key).(string)] = legibleValue(child)
		}
		return made
	default:
		return value
	}
}
