package nodestatus

import (
	"fmt"
	"strings"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// manySchemas returns MaxDeclared capabilities with different schemas of almost MaxSchemaBytes
// each.
func manySchemas(seed int) (list []*gatewayv1.Capability) {
	for i := range capabilityname.MaxDeclared {
		schema := fmt.Sprintf(`{"d":"%d-%d-%s"}`, seed, i, strings.Repeat("x", MaxSchemaBytes-100))
		list = append(list, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i), InputSchema: []byte(schema)})
	}
	return list
}

// The expensive parser parses no more bytes than may be stored, and each schema once.
func TestSchemasAreParsedWithinTheirBoundsAndOnce(t *testing.T) {
	known, parsed := NewSchemaVerdicts(), 0
	count := func(bytes int) bool { parsed += bytes; return true }
	var d Description
	for range 3 {
		if err := d.SetCapabilities(manySchemas(1), known, count); err != nil {
			t.Fatal(err)
		}
	}
	if parsed == 0 || parsed > MaxAllSchemasBytes {
		t.Errorf("%d bytes were parsed, want some and at most %d", parsed, MaxAllSchemasBytes)
	}
}

// Schemas beyond MaxSentSchemasBytes are not read.
func TestSchemasBeyondTheBoundAreNotRead(t *testing.T) {
	list, known := manySchemas(1), NewSchemaVerdicts()
	work := func(list []*gatewayv1.Capability) float64 {
		return testing.AllocsPerRun(10, func() {
			var d Description
			if err := d.SetCapabilities(list, known, unlimited); err != nil {
				t.Error(err)
			}
		})
	}
	const enough = MaxSentSchemasBytes / MaxSchemaBytes
	few, all := work(list[:enough]), work(list)
	bare := list[enough:]
	for _, c := range bare {
		c.InputSchema = nil
	}
	if names := work(bare); all > few+names+10 {
		t.Errorf("%d schemas cost %.0f allocations, %d of them %.0f and the names of the others %.0f: the others are read", len(list), all, enough, few, names)
	}
}

func TestASchemaThatIsNestedTooDeeplyIsNotStored(t *testing.T) {
	for depth, stored := range map[int]bool{MaxSchemaLevels: true, MaxSchemaLevels + 1: false} {
		text := strings.Repeat(`{"a":`, depth-1) + `{"b":"}{]["}` + strings.Repeat("}", depth-1)
		if got := jsontext.Depth([]byte(text)); got != depth {
			t.Errorf("Depth() = %d, want %d", got, depth)
		}
		if _, ok := compactSchema([]byte(text), MaxSchemaBytes); ok != stored {
			t.Errorf("%d levels: stored %t, want %t", depth, ok, stored)
		}
	}
}
