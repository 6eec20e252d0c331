package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"k8s.io/utils/lru"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/inputschema"
)

const (
	// maxKeptSchemas bounds the compiled schemas of this process. A compiled schema takes a few
	// KiB, a malicious one up to about 100 KiB.
	maxKeptSchemas = 256
	// maxCheckSteps bounds one check of an input, to about 20 ms in the worst case. The two
	// writes of the dispatch cost as much.
	maxCheckSteps = 20_000
)

// schemas caches compiled input schemas by the hash of their text, for all sessions: thousands
// of machines declare the same few schemas. A schema is compiled when a dispatch first needs it.
type schemas struct{ kept *lru.Cache }

func newSchemas() *schemas { return &schemas{lru.New(maxKeptSchemas)} }

// of returns the compiled schema, or nil if it is invalid or too expensive to evaluate.
func (c *schemas) of(text []byte) *inputschema.Schema {
	key := sha256.Sum256(text)
	if kept, ok := c.kept.Get(key); ok {
		return kept.(*inputschema.Schema)
	}
	compiled, err := inputschema.CompileForeign(text)
	if err != nil {
		compiled = nil
	}
	c.kept.Add(key, compiled)
	return compiled
}

// misfit returns the reason why the input of d violates the schema that the machine declared, or
// "". It also returns "" if only the machine can validate the input: without a schema, with a
// schema that is invalid, costly or was changed to be stored, or with an input too large to check.
func (s *session) misfit(d *v1alpha1.CapabilityDispatch) string {
	name := d.Spec.Capability
	at := slices.IndexFunc(s.facts.declared, func(c v1alpha1.NodeCapability) bool { return c.Name == name })
	if at < 0 || s.facts.declared[at].InputSchema == nil || s.facts.altered[name] {
		return ""
	}
	input := []byte("{}")
	if d.Spec.Input != nil {
		input = d.Spec.Input.Raw
	}
	err := s.service.schemas.of(s.facts.declared[at].InputSchema.Raw).CheckWithin(input, maxCheckSteps)
	if err == nil || errors.Is(err, inputschema.ErrUnchecked) {
		return ""
	}
	return fmt.Sprintf("%v (capability %s of node %q: see inputSchema in its status.capabilities)", err, name, s.key.Name)
}

// unfit returns a decision that ends a dispatch for its invalid input, if no other reason ends it.
func (s *session) unfit(why string) holderDecision {
	declared := s.facts.declared
	return func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		verdict := dispatch.Admit(d, node, declared, now)
		if verdict.Kind == dispatch.VerdictOffer {
			return dispatch.InvalidInput(d.Status, why, now), true
		}
		return verdict.Status, verdict.Kind == dispatch.VerdictSettle
	}
}

// sameJSON reports whether two JSON texts have the same value, including every digit of numbers.
func sameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var values [2]any
	for i, text := range [][]byte{a, b} {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
