package session

import (
	"fmt"
	"strings"
	"testing"

	clocktesting "k8s.io/utils/clock/testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// newDeclaringSession returns a session of a machine that declares the capability c with schema.
func newDeclaringSession(t *testing.T, c *clocktesting.FakeClock, schema string) (*session, *store) {
	t.Helper()
	s, at, _ := newStoreSession(c)
	if err := s.facts.SetCapabilities([]*gatewayv1.Capability{{Name: "other", Available: true}, {Name: "c", Available: true, InputSchema: []byte(schema)}},
		nodestatus.NewSchemaVerdicts(), unlimited); err != nil {
		t.Fatal(err)
	}
	s.node.Spec.CapabilityPolicy.Allow = []string{"c", "other", "unheard"}
	at.node = s.node.DeepCopy()
	return s, at
}

func TestOnlyAnInputThatSurelyDoesNotFitIsRefusedHere(t *testing.T) {
	needsA := `{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}`
	for name, tt := range map[string]struct{ schema, capability, input, want string }{
		"it fits":                           {needsA, "c", `{"a":"x"}`, ""},
		"it does not fit":                   {needsA, "c", `{"a":1}`, `a: got number, want string (capability c of node "pc"`},
		"there is none":                     {needsA, "c", ``, "missing property 'a'"},
		"no schema":                         {"", "c", `{"a":1}`, ""},
		"another capability has the schema": {needsA, "other", `{"a":1}`, ""},
		"an undeclared capability":          {needsA, "unheard", `{"a":1}`, ""},
		"the schema is broken":              {`{"type":"objekt"}`, "c", `{"a":1}`, ""},
		"the schema is costly":              {`{"type":"object","required":["a"],"properties":{"b":{"$ref":"#"}}}`, "c", `{}`, ""},
		"the schema was changed":            {"{\"properties\":{\"a\":{\"enum\":[\"x\u200by\"]}}}", "c", `{"a":"x` + "\u200b" + `y"}`, ""},
		"a number lost digits":              {`{"properties":{"a":{"const":12345678901234567890}}}`, "c", `{"a":1}`, ""},
		"it is too large to look at":        {`{"properties":{"a":{"items":{"type":"string"}}}}`, "c", `{"a":[` + strings.Repeat("1,", 20_000) + `1]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := clocktesting.NewFakeClock(noon.Time)
			s, at := newDeclaringSession(t, c, tt.schema)
			d := newDispatch(s, c, v1alpha1.DispatchQueued)
			if d.Spec.Capability = tt.capability; tt.input != "" {
				d.Spec.Input = &v1alpha1.JSON{Raw: []byte(tt.input)}
			}
			s.addWaiting(t.Context(), at, d)
			s.offer(t.Context())
			s.runPending(t.Context())
			got := ""
			if e := at.dispatch.Status.Error; e != nil && e.Code == v1alpha1.ErrorInvalidInput {
				got = e.Message
			}
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("the dispatch is refused with %q, want %q", got, tt.want)
			}
			if offered := s.offersSent() == 1; offered != (tt.want == "" && tt.capability != "unheard") {
				t.Errorf("sent %v", s.sent())
			}
		})
	}
}

func TestSchemasAreSharedCompiledOnceAndBounded(t *testing.T) {
	schemas := newSchemaCache()
	schema := []byte(`{"type":"object","required":["a"]}`)
	for range 1000 {
		if schemas.checkInput(schema, []byte(`{}`)) == nil {
			t.Fatal("an input that violates the schema is accepted")
		}
	}
	if kept := schemas.cache.Len(); kept != 1 {
		t.Errorf("%d schemas are kept for 1000 checks with the same, want 1", kept)
	}
	first := schemas.get(schema)
	if first == nil || first != schemas.get(schema) {
		t.Error("a cached schema is compiled again")
	}
	for i := range 2 * maxCachedSchemas {
		schemas.get(fmt.Appendf(nil, `{"title":"%d"}`, i))
	}
	if kept := schemas.cache.Len(); kept != maxCachedSchemas {
		t.Errorf("%d schemas are kept, want at most %d", kept, maxCachedSchemas)
	}
}
