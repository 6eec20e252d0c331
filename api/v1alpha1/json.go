package v1alpha1

import "slices"

// JSON is one JSON value, kept as bytes: each capability defines the shape of its input, output and
// schema. The schema of the field that uses it determines whether it must be an object. The API
// server re-encodes the stored value: key order and white space are not kept.
//
// +kubebuilder:validation:Type=object
// +kubebuilder:pruning:PreserveUnknownFields
type JSON struct {
	// Raw holds the encoded value; empty means null.
	Raw []byte `json:"-"`
}

// MarshalJSON returns the bytes of the value.
func (j JSON) MarshalJSON() ([]byte, error) {
	if len(j.Raw) == 0 {
		return []byte("null"), nil
	}
	return j.Raw, nil
}

// UnmarshalJSON stores a copy of the bytes of the value.
func (j *JSON) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		j.Raw = nil
		return nil
	}
	j.Raw = slices.Clone(data)
	return nil
}
