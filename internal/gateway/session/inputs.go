package session

import (
	"crypto/sha256"
	"errors"

	"k8s.io/utils/lru"

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

// checkInput returns an error if the input violates the schema. It returns nil if only the machine
// can validate the input: with a schema that is invalid or costly, or an input too large to check.
func (c *schemaCache) checkInput(schema, input []byte) error {
	err := c.get(schema).CheckWithin(input, maxCheckSteps)
	if errors.Is(err, inputschema.ErrTooExpensive) {
		return nil
	}
	return err
}
