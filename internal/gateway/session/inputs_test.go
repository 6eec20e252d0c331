package session

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
)

// newDeclaringSession returns a session of a machine that declares the capability c with schema.
func newDeclaringSession(t *testing.T, service *Service, schema string) *session {
	t.Helper()
	s := &session{service: service, key: types.NamespacedName{Namespace: "fleet", Name: "pc"}}
	if err := s.facts.SetCapabilities([]*gatewayv1.Capability{{Name: "other"}, {Name: "c", InputSchema: []byte(schema)}}, nodestatus.NewSchemaVerdicts(), unlimited); err != nil {
		t.Fatal(err)
	}
	return s
}

func dispatchWithInput(capability, input string) *v1alpha1.CapabilityDispatch {
	d := &v1alpha1.CapabilityDispatch{Spec: v1alpha1.CapabilityDispatchSpec{Capability: capability}}
	if input != "" {
		d.Spec.Input = &v1alpha1.JSON{Raw: []byte(input)}
	}
	return d
}

func TestOnlyAnInputThatSurelyDoesNotFitIsRefusedHere(t *testing.T) {
	service := &Service{schemaCache: newSchemaCache()}
	needsA := `{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}`
	for name, c := range map[string]struct{ schema, capability, input, want string }{
		"it fits":                           {needsA, "c", `{"a":"x"}`, ""},
		"it does not fit":                   {needsA, "c", `{"a":1}`, `a: got number, want string (capability c of node "pc"`},
		"there is none":                     {needsA, "c", ``, "missing property 'a'"},
		"no schema":                         {"", "c", `{"a":1}`, ""},
		"another capability has the schema": {needsA, "other", `{"a":1}`, ""},
		"an undeclared capability":          {needsA, "unheard", `{"a":1}`, ""},
		"the schema is broken":              {`{"type":"objekt"}`, "c", `{"a":1}`, ""},
		"the schema is costly":              {`{"type":"object","required":["a"],"properties":{"b":{"$ref":"#"}}}`, "c", `{}`, ""},
		"the schema was changed":            {"{\"properties\":{\"a\":{\"enum\":[\"x\u200by\"]}}}", "c", `{"a":"x` + "\u200b" + `y"}`, ""},
		"a number lost digits":              {`{"properties":{"a":{"const":12345678901234567890}}}`, "c", `{"a":12345678901234567890}`, ""},
		"it is too large to look at":        {`{"properties":{"a":{"items":{"type":"string"}}}}`, "c", `{"a":[` + strings.Repeat("1,", 20_000) + `1]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := newDeclaringSession(t, service, c.schema).validateInput(dispatchWithInput(c.capability, c.input))
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("misfit() = %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheSchemaOfTheFirstCapabilityCounts(t *testing.T) {
	s := &session{service: &Service{schemaCache: newSchemaCache()}}
	s.facts.Declared = []v1alpha1.NodeCapability{{Name: "c", InputSchema: &v1alpha1.JSON{Raw: []byte(`{"required":["a"]}`)}}}
	if s.validateInput(dispatchWithInput("c", `{}`)) == "" {
		t.Error("an input that does not fit is offered")
	}
}

func TestSchemasAreSharedCompiledOnceAndBounded(t *testing.T) {
	service := &Service{schemaCache: newSchemaCache()}
	schema := `{"type":"object","required":["a"]}`
	for range 1000 {
		if newDeclaringSession(t, service, schema).validateInput(dispatchWithInput("c", `{}`)) == "" {
			t.Fatal("an input that violates the schema is accepted")
		}
	}
	if kept := service.schemaCache.cache.Len(); kept != 1 {
		t.Errorf("%d schemas are kept for 1000 sessions with the same, want 1", kept)
	}
	first := service.schemaCache.get([]byte(schema))
	if first == nil || first != service.schemaCache.get([]byte(schema)) {
		t.Error("a cached schema is compiled again")
	}
	for i := range 2 * maxCachedSchemas {
		service.schemaCache.get(fmt.Appendf(nil, `{"title":"%d"}`, i))
	}
	if kept := service.schemaCache.cache.Len(); kept != maxCachedSchemas {
		t.Errorf("%d schemas are kept, want at most %d", kept, maxCachedSchemas)
	}
}
