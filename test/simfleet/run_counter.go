package simfleet

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

// RunCounter is a capability that counts its runs by their name, on the machine's side.
type RunCounter struct {
	mu    sync.Mutex
	times map[string]int
}

// Input is the input of a run.
type Input struct {
	Run               string `json:"run"`
	SleepMilliseconds int    `json:"sleepMilliseconds,omitempty"`
}

// Name returns test.count.
func (*RunCounter) Name() string { return "test.count" }

// Description returns a sentence for people.
func (*RunCounter) Description() string { return "Counts its runs." }

// Schema returns the JSON schema of Input.
func (*RunCounter) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["run"],"properties":{"run":{"type":"string"},"sleepMilliseconds":{"type":"integer"}}}`)
}

// Mediation returns None: no person takes part in a test.
func (*RunCounter) Mediation() capability.Mediation { return capability.MediationNone }

// Check accepts every input.
func (*RunCounter) Check(json.RawMessage) error { return nil }

// Run counts the run, then sleeps for the time of its input.
func (c *RunCounter) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
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

// RunsOf returns how often the run of that name ran.
func (c *RunCounter) RunsOf(run string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[run]
}
