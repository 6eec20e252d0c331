package capability

import (
	"encoding/json"
	"math"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// Bound keeps an output within limit bytes. Of a longer string the longest prefix that
// fits is kept; anything else that is longer becomes a string with a prefix of its
// text: still JSON, still readable, and never mistaken for a whole answer, since
// truncated is reported with it. A limit too small for any string (under 2) keeps
// nothing.
func Bound(output json.RawMessage, limit int) (kept json.RawMessage, truncated bool) {
	if len(output) <= limit {
		return output, false
	}
	if limit < len(`""`) {
		return nil, true
	}
	beginning := []byte(output)
	if text := ""; json.Unmarshal(output, &text) == nil {
		beginning = []byte(text)
	}
	return jsontext.Quote(beginning, limit, math.MaxInt), true
}
