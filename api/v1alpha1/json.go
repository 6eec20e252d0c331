package v1alpha1

import "slices"

// JSON is one JSON value kept as its bytes, so that the shape of a capability's input,
// output and schema is the capability's own business. The schema of the field that uses it
// says whether it must be an object. The API server re-encodes what it stores: key order and
// white space are not kept.
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

// UnmarshalJSON keeps a copy of the bytes of the value.
func (j *JSON) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		j.Raw = nil
		return nil
	}
	j.Raw = slices.Clone(data)
	return nil
}
