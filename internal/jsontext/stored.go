package jsontext

import (
	"encoding/json"
)

// fieldBytes is the size that managedFields take for one key of an object, besides the key.
const fieldBytes = len(`"f:":{".":{}},`)

// MaxGrowth is how many times longer a JSON text can be in the store than it was written.
const MaxGrowth = 16

// StoredLen returns how many bytes a JSON value takes in the store of an API server: as the API
// server encodes it, and in managedFields, which name every key of nested objects. It decodes the
// text; a text that is no JSON takes none, as it cannot be stored.
func StoredLen(text []byte) int {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return 0
	}
	encoded, err := json.Marshal(value) // escapes like the API server
	if err != nil {
		return 0
	}
	return len(encoded) + managedLen(value)
}

// managedLen is the size that managedFields take for the keys of a value. They hold lists as a whole.
func managedLen(value any) int {
	total := 0
	object, _ := value.(map[string]any)
	for key, child := range object {
		// A field name is a JSON string within a JSON text, so both escape it.
		encoded, _ := json.Marshal(key) // a string always encodes
		total += len(encoded) + fieldBytes + managedLen(child)
	}
	return total
}
