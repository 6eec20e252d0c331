package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// largeSchemas returns maxCapabilities capabilities with different schemas of almost maxSchemaBytes
// each.
func largeSchemas(seed int) (list []*gatewayv1.Capability) {
	for i := range maxCapabilities {
		schema := fmt.Sprintf(`{"d":"%d-%d-%s"}`, seed, i, strings.Repeat("x", maxSchemaBytes-100))
		list = append(list, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i), InputSchema: []byte(schema)})
	}
	return list
}

// The expensive parser parses no more bytes than may be stored, and each schema once.
func TestSchemasAreParsedWithinTheirBoundsAndOnce(t *testing.T) {
	known, parsed := newSchemaVerdicts(), 0
	count := func(bytes int) bool { parsed += bytes; return true }
	var d description
	for range 3 {
		if err := d.setCapabilities(largeSchemas(1), known, count); err != nil {
			t.Fatal(err)
		}
	}
	if parsed == 0 || parsed > maxAllSchemasBytes {
		t.Errorf("%d bytes were parsed, want some and at most %d", parsed, maxAllSchemasBytes)
	}
}

// Schemas beyond maxSentSchemasBytes are not read.
func TestSchemasBeyondTheBoundAreNotRead(t *testing.T) {
	list, known := largeSchemas(1), newSchemaVerdicts()
	work := func(list []*gatewayv1.Capability) float64 {
		return testing.AllocsPerRun(10, func() {
			var d description
			if err := d.setCapabilities(list, known, unlimited); err != nil {
				t.Error(err)
			}
		})
	}
	const enough = maxSentSchemasBytes / maxSchemaBytes
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
	for depth, stored := range map[int]bool{maxSchemaLevels: true, maxSchemaLevels + 1: false} {
		text := strings.Repeat(`{"a":`, depth-1) + `{"b":"}{]["}` + strings.Repeat("}", depth-1)
		if got := jsontext.Depth([]byte(text)); got != depth {
			t.Errorf("Depth() = %d, want %d", got, depth)
		}
		if _, ok := compactSchema([]byte(text), maxSchemaBytes); ok != stored {
			t.Errorf("%d levels: stored %t, want %t", depth, ok, stored)
		}
	}
}

// A machine that registers new schemas all the time is refused, whichever RPC it uses. Another
// machine, and a machine with known schemas, are not refused.
func TestNewSchemasOfANodeAreBounded(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	afford := s.schemaBudget(c.Now())
	refused := 0
	for i := range 20 {
		_, err := newDescription(&gatewayv1.RegisterNodeRequest{Capabilities: largeSchemas(i)}, s.service.schemaVerdicts, afford)
		if errors.Is(err, errTooManySchemas) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if most := schemaBytesBurst / maxAllSchemasBytes; 20-refused > most+1 {
		t.Errorf("%d descriptions with new schemas were accepted, want about %d", 20-refused, most)
	}
	if _, err := newDescription(&gatewayv1.RegisterNodeRequest{Capabilities: largeSchemas(0)}, s.service.schemaVerdicts, afford); err != nil {
		t.Errorf("known schemas: %v", err)
	}
	if status.Code(errTooManySchemas) != codes.ResourceExhausted {
		t.Errorf("the refusal is %s", status.Code(errTooManySchemas))
	}
	other := s.service.newSession(peer.Identity{ID: identity.ID{Namespace: "fleet", Node: "other"}}, silentConn{})
	if _, err := newDescription(&gatewayv1.RegisterNodeRequest{Capabilities: largeSchemas(99)}, s.service.schemaVerdicts, other.schemaBudget(c.Now())); err != nil {
		t.Errorf("another machine: %v", err)
	}
	// The newest description of a session waits and is applied later.
	s.draining = true
	s.handleCapabilitiesChanged(t.Context(), &gatewayv1.CapabilitiesChanged{Capabilities: largeSchemas(100)})
	if s.pendingCapabilities == nil || len(s.facts.declared) != 0 {
		t.Fatal("a change beyond the budget was applied or dropped")
	}
	c.Step(time.Minute)
	s.applyPendingCapabilities(t.Context())
	if s.pendingCapabilities != nil || len(s.facts.declared) == 0 {
		t.Error("the change was not applied later")
	}
}
