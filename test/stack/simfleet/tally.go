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

// Tally is a capability that counts its runs by their name, on the machine's side.
type Tally struct {
	mu    sync.Mutex
	times map[string]int
}

// Input is the input of a run.
type Input struct {
	Run               string `json:"run"`
	SleepMilliseconds int    `json:"sleepMilliseconds,omitempty"`
}

// Name returns test.count.
func (*Tally) Name() string { return "test.count" }

// Description returns a sentence for people.
func (*Tally) Description() string { return "Counts its runs." }

// Schema returns the JSON schema of Input.
func (*Tally) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["run"],"properties":{"run":{"type":"string"},"sleepMilliseconds":{"type":"integer"}}}`)
}

// Mediation returns None: no person takes part in a test.
func (*Tally) Mediation() capability.Mediation { return capability.MediationNone }

// Check accepts every input.
func (*Tally) Check(json.RawMessage) error { return nil }

// Run counts the run, then sleeps for the time of its input.
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

// Of returns how often the run of that name ran.
func (c *Tally) Of(run string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[run]
}
