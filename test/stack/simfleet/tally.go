package simfleet

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/backoff"
	"github.com/mooring-dev/mooring/nodeagent/capability"
)

// Tally is a capability that counts its runs by their name, on the machine's own side.
type Tally struct {
	mu    sync.Mutex
	times map[string]int
}

// Input is that of a run.
type Input struct {
	Run               string `json:"run"`
	SleepMilliseconds int    `json:"sleepMilliseconds,omitempty"`
}

// Name is test.count.
func (*Tally) Name() string { return "test.count" }

// Description is for people.
func (*Tally) Description() string { return "Counts its runs." }

// Schema describes the input.
func (*Tally) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["run"],"properties":{"run":{"type":"string"},"sleepMilliseconds":{"type":"integer"}}}`)
}

// Mediation is not needed in tests.
func (*Tally) Mediation() capability.Mediation { return capability.None }

// Check accepts anything.
func (*Tally) Check(json.RawMessage) error { return nil }

// Run counts, then works as long as it is told.
func (c *Tally) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
	var input Input
	if err := json.Unmarshal(request.Input, &input); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.times[input.Run]++
	times := c.times[input.Run]
	c.mu.Unlock()
	if err := backoff.Sleep(ctx, time.Duration(input.SleepMilliseconds)*time.Millisecond); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%d", times), nil
}

// Of is how often the run of that name ran.
func (c *Tally) Of(run string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[run]
}
