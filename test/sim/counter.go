package sim

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
)

// CountCapability is the name of the capability that a Counter provides.
const CountCapability = "sim.count"

// Counter is a capability that counts how often each dispatch really ran in this process,
// independently of any status. The zero value is ready for use.
type Counter struct {
	mu   sync.Mutex
	runs map[string]int // by UID
}

// Name returns CountCapability.
func (*Counter) Name() string { return CountCapability }

// Description returns a sentence for people.
func (*Counter) Description() string { return "Counts its runs." }

// Schema returns nil, which allows any object.
func (*Counter) Schema() json.RawMessage { return nil }

// Mediation returns None: no person takes part in a simulation.
func (*Counter) Mediation() capability.Mediation { return capability.MediationNone }

// Run counts the run and returns its input.
func (c *Counter) Run(_ context.Context, request capability.Request) (json.RawMessage, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.runs == nil {
		c.runs = map[string]int{}
	}
	c.runs[request.DispatchUID]++
	return request.Input, nil
}

// Totals returns the number of dispatches that ran, and how many of them ran more than once.
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
