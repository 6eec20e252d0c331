package jsontext

import (
	"encoding/json"
)

// fieldBytes is the size that managedFields need for one key of an object, without the key itself.
const fieldBytes = len(`"f:":{".":{}},`)

// MaxGrowth is the largest ratio between the stored size of a JSON text and its written size.
const MaxGrowth = 16

// StoredSize returns the number of bytes that a JSON value takes in etcd. It counts the value as
// the API server encodes it, plus managedFields, which name every key of nested objects. It decodes
// the text. It returns 0 for a text that is not JSON, because such a text cannot be stored.
func StoredSize(text []byte) int {
	var value any
	if json.Unmarshal(text, &value) != nil {
		return 0
	}
	encoded, err := json.Marshal(value) // escapes like the API server
	if err != nil {
		return 0
	}
	return len(encoded) + managedFieldsSize(value)
}

// managedFieldsSize returns the size that managedFields need for the keys of a value. They treat a
// list as one value.
func managedFieldsSize(value any) int {
	total := 0
	object, _ := value.(map[string]any)
	for key, child := range object {
		// A field name is a JSON string within a JSON text, so both escape it.
		encoded, _ := json.Marshal(key) // a string always encodes
		total += len(encoded) + fieldBytes + managedFieldsSize(child)
	}
	return total
}
