package capability

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

var errNotObject = errors.New("the input must be a JSON object")

// maxDepth bounds the nesting of values, because every reader of a value recurses.
const maxDepth = 64

// checkObject rejects an input that is not exactly one JSON object, and an object with a repeated
// key. Two programs could read a repeated key in two ways, and the person saw only one.
func checkObject(input json.RawMessage) error {
	decoder := json.NewDecoder(bytes.NewReader(input))
	decoder.UseNumber()
	first, err := decoder.Token()
	if err != nil || first != json.Delim('{') {
		return errNotObject
	}
	if err := readObject(decoder, 1); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errNotObject
	}
	if number := jsontext.FindBeyondInt64(input); number != "" {
		return fmt.Errorf("the input holds a number beyond int64, which may have been rounded: write it as a string: %.40s", number)
	}
	return nil
}

// readObject reads an object to its end and rejects repeated keys.
func readObject(decoder *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return errNotObject
		}
		name := key.(string) // a Decoder returns only strings as keys
		if seen[name] {
			return fmt.Errorf("the input has the key %q twice", name)
		}
		seen[name] = true
		if err := readValue(decoder, depth); err != nil {
			return err
		}
	}
	return readDelim(decoder)
}

func readValue(decoder *json.Decoder, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return errNotObject
	}
	if depth++; depth > maxDepth {
		return fmt.Errorf("the input is nested deeper than %d levels", maxDepth)
	}
	switch token {
	case json.Delim('{'):
		return readObject(decoder, depth)
	case json.Delim('['):
		for decoder.More() {
			if err := readValue(decoder, depth); err != nil {
				return err
			}
		}
		return readDelim(decoder)
	}
	return nil
}

func readDelim(decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != nil {
		return errNotObject
	}
	return nil
}
