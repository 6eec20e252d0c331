package jsontext

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Equal reports whether two JSON texts have the same value, including every digit of numbers.
func Equal(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var values [2]any
	for i, text := range [][]byte{a, b} {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
