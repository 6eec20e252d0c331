package sim

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/mooring-dev/mooring/nodeagent/capability"
)

// CountCapability is the name of what a Counter is to machines.
const CountCapability = "sim.count"

// Counter is a capability that knows how often each dispatch really ran in this process, whatever
// any status says. The zero value is ready.
type Counter struct {
	mu   sync.Mutex
	runs map[string]int // by UID
}

// Name is CountCapability.
func (*Counter) Name() string { return CountCapability }

// Description is for people.
func (*Counter) Description() string { return "Counts its runs." }

// Schema allows any object.
func (*Counter) Schema() json.RawMessage { return nil }

// Mediation is not needed: it is a simulation.
func (*Counter) Mediation() capability.Mediation { return capability.None }

// Run counts.
func (c *Counter) Run(_ context.Context, request capability.Request) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs == nil {
		c.runs = map[string]int{}
	}
	c.runs[request.DispatchUID]++
	return request.Input, nil
}

// Totals are the dispatches that ran, and those of them that ran more than once.
func (c *Counter) Totals() (ran, twice int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.runs {
		if n > 1 {
			twice++
		}
	}
	return len(c.runs), twice
}
