package nodestatus

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"k8s.io/utils/lru"
	"sigs.k8s.io/yaml"

	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// MaxSchemaLevels bounds the nesting of a stored schema. The time of the YAML parser grows with
// the square of the nesting.
const MaxSchemaLevels = 64

// maxSchemaVerdicts bounds the cached verdicts of whether a schema can be stored.
const maxSchemaVerdicts = 4096

// ErrTooManySchemas refuses a description whose new schemas exceed the allowance of its machine.
var ErrTooManySchemas = errors.New("this machine declares new input schemas too often; declare them again later")

// SchemaVerdicts caches whether the API server's parser accepts a schema, by the hash of its text:
// thousands of machines declare the same few schemas.
//
// The API server parses a server-side apply as YAML, which is not quite a superset of JSON. The
// parser refuses \/, escaped surrogate pairs, U+FFFE, U+FFFF, U+007F, keys over 1024 characters
// and duplicate keys. One such schema would make the whole status of its Node unwritable.
type SchemaVerdicts struct{ cache *lru.Cache }

// NewSchemaVerdicts returns an empty cache.
func NewSchemaVerdicts() *SchemaVerdicts { return &SchemaVerdicts{lru.New(maxSchemaVerdicts)} }

// canStore reports whether the parser accepts compact. The parser takes a hundred times as long as
// the JSON parser. So it runs once for each text, and only if the machine can afford the bytes.
func (k *SchemaVerdicts) canStore(compact []byte, reserve func(bytes int) bool) (bool, error) {
	key := sha256.Sum256(compact)
	if verdict, ok := k.cache.Get(key); ok {
		return verdict.(bool), nil
	}
	if !reserve(len(compact)) {
		return false, ErrTooManySchemas
	}
	_, err := yaml.YAMLToJSONStrict(compact)
	k.cache.Add(key, err == nil)
	return err == nil, nil
}

// compactSchema converts the input schema of a capability to the form for Node.status: compact
// JSON of at most room bytes, without unprintable characters in its texts. It returns false for a
// schema that is too large, nested too deeply or no JSON object.
func compactSchema(raw []byte, room int) ([]byte, bool) {
	if len(raw) == 0 || len(raw) > MaxSchemaBytes || jsontext.Depth(raw) > MaxSchemaLevels || !utf8.Valid(raw) {
		return nil, false
	}
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil || object == nil {
		return nil, false
	}
	compact, err := jsontext.Marshal(sanitizeValue(object))
	// YAML treats these two as line breaks, even in a quoted text.
	compact = bytes.ReplaceAll(compact, []byte("\u2028"), []byte(`\u2028`))
	compact = bytes.ReplaceAll(compact, []byte("\u2029"), []byte(`\u2029`))
	if err != nil || len(compact) > min(room, MaxSchemaBytes) {
		return nil, false
	}
	return compact, true
}

// storedSchema returns the stored form of a schema, or nil if the schema cannot be stored.
func storedSchema(raw []byte, room int, verdicts *SchemaVerdicts, reserve func(bytes int) bool) ([]byte, error) {
	compact, ok := compactSchema(raw, room)
	if !ok {
		return nil, nil
	}
	if ok, err := verdicts.canStore(compact, reserve); !ok {
		return nil, err
	}
	return compact, nil
}

// sanitizeValue returns value with foreign.CleanText applied to all its texts.
func sanitizeValue(value any) any {
	switch v := value.(type) {
	case string:
		return foreign.CleanText(v)
	case []any:
		for i := range v {
			v[i] = sanitizeValue(v[i])
		}
		return v
	case map[string]any:
		sanitized := make(map[string]any, len(v))
		for key, child := range v {
			sanitized[sanitizeValue(key).(string)] = sanitizeValue(child)
		}
		return sanitized
	default:
		return value
	}
}
