package capability

import (
	"encoding/json"
	"math"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// TruncateOutput cuts an output to at most limit bytes and reports whether it did. Of a longer
// string it keeps the longest prefix that fits. Every other longer output becomes a string with a
// prefix of its text. That string is still JSON and readable, and truncated keeps it from being
// taken for a complete output. A limit too small for any string (under 2) keeps nothing.
func TruncateOutput(output json.RawMessage, limit int) (kept json.RawMessage, truncated bool) {
	if len(output) <= limit {
		return output, false
	}
	if limit < len(`""`) {
		return nil, true
	}
	content := []byte(output)
	if text := ""; json.Unmarshal(output, &text) == nil {
		content = []byte(text)
	}
	return jsontext.QuotePrefix(content, limit, math.MaxInt), true
}
