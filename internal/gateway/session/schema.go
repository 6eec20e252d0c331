package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/utils/lru"
	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// maxSchemaLevels bounds the nesting of a stored schema: the time of the YAML parser grows with the
// square of it.
const maxSchemaLevels = 64

// maxKnownSchemas bounds the schemas of which the process remembers whether they can be stored.
const maxKnownSchemas = 4096

// errManySchemas refuses a description whose new schemas are beyond the allowance of its machine.
var errManySchemas = status.Error(codes.ResourceExhausted, "this machine describes new input schemas too often; describe them again later")

// knownSchemas remembers whether the API server's parser takes a schema, by the hash of its text:
// thousands of machines declare the same few.
//
// A server-side apply is parsed as YAML, which is not quite a superset of JSON: it refuses
// \/, escaped surrogate pairs, U+FFFE, U+FFFF, U+007F, keys over 1024 characters and keys
// named twice. One such schema would make the whole status of its Node unwritable.
type knownSchemas struct{ verdicts *lru.Cache }

func newKnownSchemas() *knownSchemas { return &knownSchemas{lru.New(maxKnownSchemas)} }

// storable reports whether the parser takes compact. The parser needs a hundred times as long as
// that of JSON: it runs once for a text, and only if its machine can afford so many bytes.
func (k *knownSchemas) storable(compact []byte, afford func(bytes int) bool) (bool, error) {
	key := sha256.Sum256(compact)
	if verdict, ok := k.verdicts.Get(key); ok {
		return verdict.(bool), nil
	}
	if !afford(len(compact)) {
		return false, errManySchemas
	}
	_, err := yaml.YAMLToJSONStrict(compact)
	k.verdicts.Add(key, err == nil)
	return err == nil, nil
}

// compactSchema makes the input schema of a capability fit for Node.status: compact JSON of at most
// room bytes, whose texts hold no characters that cannot be printed. It is false for a schema that
// is too large, nested too deeply or no JSON object.
func compactSchema(raw []byte, room int) ([]byte, bool) {
	if len(raw) == 0 || len(raw) > maxSchemaBytes || jsontext.Depth(raw) > maxSchemaLevels || !utf8.Valid(raw) {
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
	return compact, true
}

// storedSchema is a schema as it is stored, nil if it cannot be.
func storedSchema(raw []byte, room int, known *knownSchemas, afford func(bytes int) bool) ([]byte, error) {
	compact, ok := compactSchema(raw, room)
	if !ok {
		return nil, nil
	}
	if ok, err := known.storable(compact, afford); !ok {
		return nil, err
	}
	return compact, nil
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
