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
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/peer"
	"github.com/mooring-dev/mooring/internal/identity"
)

// largeSchemas returns MaxDeclared capabilities with different schemas of almost MaxSchemaBytes
// each.
func largeSchemas(seed int) (list []*gatewayv1.Capability) {
	for i := range capabilityname.MaxDeclared {
		schema := fmt.Sprintf(`{"d":"%d-%d-%s"}`, seed, i, strings.Repeat("x", nodestatus.MaxSchemaBytes-100))
		list = append(list, &gatewayv1.Capability{Name: fmt.Sprintf("c%d", i), InputSchema: []byte(schema)})
	}
	return list
}

// A machine that registers new schemas all the time is refused, whichever RPC it uses. Another
// machine, and a machine with known schemas, are not refused.
func TestNewSchemasOfANodeAreBounded(t *testing.T) {
	c := clocktesting.NewFakeClock(noon.Time)
	s := newBlockedSession(c)
	afford := s.schemaBudget(c.Now())
	refused := 0
	for i := range 20 {
		_, err := nodestatus.NewDescription(&gatewayv1.RegisterNodeRequest{Capabilities: largeSchemas(i)}, s.service.schemaVerdicts, afford)
		if errors.Is(err, nodestatus.ErrTooManySchemas) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if most := schemaBytesBurst / nodestatus.MaxAllSchemasBytes; 20-refused > most+1 {
		t.Errorf("%d descriptions with new schemas were accepted, want about %d", 20-refused, most)
	}
	if _, err := nodestatus.NewDescription(&gatewayv1.RegisterNodeRequest{Capabilities: largeSchemas(0)}, s.service.schemaVerdicts, afford); err != nil {
		t.Errorf("known schemas: %v", err)
	}
	if code := status.Code(registrationError(nodestatus.ErrTooManySchemas)); code != codes.ResourceExhausted {
		t.Errorf("the refusal is %s", code)
	}
	other := s.service.newSession(peer.Identity{ID: identity.ID{Namespace: "fleet", Node: "other"}}, silentConn{})
	if _, err := nodestatus.NewDescription(&gatewayv1.RegisterNodeRequest{Capabilities: largeSchemas(99)}, s.service.schemaVerdicts, other.schemaBudget(c.Now())); err != nil {
		t.Errorf("another machine: %v", err)
	}
	// The newest description of a session waits and is applied later.
	s.draining = true
	s.handleCapabilitiesChanged(t.Context(), &gatewayv1.CapabilitiesChanged{Capabilities: largeSchemas(100)})
	if s.pendingCapabilities == nil || len(s.facts.Declared) != 0 {
		t.Fatal("a change beyond the budget was applied or dropped")
	}
	c.Step(time.Minute)
	s.applyPendingCapabilities(t.Context())
	if s.pendingCapabilities != nil || len(s.facts.Declared) == 0 {
		t.Error("the change was not applied later")
	}
}
