package session

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/utils/lru"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/inputschema"
)

const (
	// maxCachedSchemas bounds the compiled schemas of this process. A compiled schema takes a few
	// KiB, a malicious one up to about 100 KiB.
	maxCachedSchemas = 256
	// maxCheckSteps bounds one check of an input, to about 20 ms in the worst case. The two
	// writes of the dispatch cost as much.
	maxCheckSteps = 20_000
)

// schemaCache caches compiled input schemas by the hash of their text, for all sessions: thousands
// of machines declare the same few schemas. A schema is compiled when a dispatch first needs it.
type schemaCache struct{ cache *lru.Cache }

func newSchemaCache() *schemaCache { return &schemaCache{lru.New(maxCachedSchemas)} }

// get returns the compiled schema, or nil if it is invalid or too expensive to evaluate.
func (c *schemaCache) get(text []byte) *inputschema.Schema {
	key := sha256.Sum256(text)
	if cached, ok := c.cache.Get(key); ok {
		return cached.(*inputschema.Schema)
	}
	compiled, err := inputschema.CompileForeign(text)
	if err != nil {
		compiled = nil
	}
	c.cache.Add(key, compiled)
	return compiled
}

// validateInput returns the reason why the input of d violates the schema that the machine
// declared, or "". It also returns "" if only the machine can validate the input. That is so
// without a schema, and with a schema that is invalid, costly or was changed to be stored. It is
// also so with an input too large to check.
func (s *session) validateInput(d *v1alpha1.CapabilityDispatch) string {
	name := d.Spec.Capability
	at := slices.IndexFunc(s.facts.Declared, func(c v1alpha1.NodeCapability) bool { return c.Name == name })
	if at < 0 || s.facts.Declared[at].InputSchema == nil || s.facts.AlteredSchemas[name] {
		return ""
	}
	input := []byte("{}")
	if d.Spec.Input != nil {
		input = d.Spec.Input.Raw
	}
	err := s.service.schemaCache.get(s.facts.Declared[at].InputSchema.Raw).CheckWithin(input, maxCheckSteps)
	if err == nil || errors.Is(err, inputschema.ErrTooExpensive) {
		return ""
	}
	return fmt.Sprintf("%v (capability %s of node %q: see inputSchema in its status.capabilities)", err, name, s.key.Name)
}

// rejectInput returns a decision that ends a dispatch for its invalid input, if no other reason
// ends it.
func (s *session) rejectInput(reason string) nodeDecision {
	declared := s.facts.Declared
	return func(d *v1alpha1.CapabilityDispatch, node *v1alpha1.Node, now time.Time) (v1alpha1.CapabilityDispatchStatus, bool) {
		verdict := dispatch.Admit(d, node, declared, now)
		if verdict.Kind == dispatch.VerdictOffer {
			return dispatch.RejectInvalidInput(d.Status, reason, now), true
		}
		return verdict.Status, verdict.Kind == dispatch.VerdictSettle
	}
}
