package dispatch

import (
	"encoding/json"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

const (
	// maxObjectBytes bounds a dispatch as the API server stores it: as JSON with escapes and with
	// the managedFields of one writer. etcd rejects requests of 1.5 MiB. The difference leaves
	// space for the request around the object and for additions of other writers.
	maxObjectBytes = 1344 << 10
	// otherBytes is more than the total of all fields without a size bound of their own: names,
	// times, conditions, and the message of an error twice.
	otherBytes = 64 << 10
)

// Fit returns next with an output that the API server can store together with the rest of the
// dispatch d, including the input. A larger output is cut and marked as truncated. It is removed if
// there is no space even for its beginning.
func Fit(d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) v1alpha1.CapabilityDispatchStatus {
	if next.Output == nil || unescapedSize(d, next)*jsontext.MaxGrowth+otherBytes <= maxObjectBytes {
		return next
	}
	withoutOutput := *d
	withoutOutput.Status = next
	withoutOutput.Status.Output, withoutOutput.Status.OutputTruncated = &v1alpha1.JSON{Raw: []byte(`""`)}, true // the names of these fields count too
	encoded, err := jsontext.Marshal(&withoutOutput)
	if err != nil {
		return next // the API server reports the error about an object that cannot be encoded
	}
	available := maxObjectBytes - jsontext.StoredSize(encoded)
	output := next.Output.Raw
	if jsontext.StoredSize(output) <= available {
		return next
	}
	next.Output, next.OutputTruncated = nil, true
	if available > len(`""`) {
		beginning := output
		if text := ""; json.Unmarshal(output, &text) == nil {
			beginning = []byte(text)
		}
		next.Output = &v1alpha1.JSON{Raw: jsontext.QuotePrefix(beginning, len(output), available)}
	}
	return next
}

// unescapedSize returns the length of the parts of a dispatch that can be long, before any escaping.
func unescapedSize(d *v1alpha1.CapabilityDispatch, next v1alpha1.CapabilityDispatchStatus) int {
	total := len(next.Output.Raw)
	if d.Spec.Input != nil {
		total += len(d.Spec.Input.Raw)
	}
	for _, group := range d.Spec.RequestedByGroups {
		total += len(group)
	}
	for _, texts := range []map[string]string{d.Annotations, d.Labels} {
		for key, value := range texts {
			total += len(key) + len(value)
		}
	}
	return total
}
