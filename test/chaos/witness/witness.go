// Package witness provides a capability that records its own runs. Each run writes a mark to the
// disk of its machine before it does anything and when it ends. The agent and its journal do not
// know of the marks.
package witness

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
	"github.com/mooring-dev/mooring/test/chaos/check"
)

// Name is the name of the capability.
const Name = "test.witness"

// Input is the input of a run.
type Input struct {
	// SleepMilliseconds is the duration of the run.
	SleepMilliseconds int `json:"sleepMilliseconds"`
	// Progress makes the run report progress half-way, Fail makes it return an error.
	Progress bool `json:"progress,omitempty"`
	Fail     bool `json:"fail,omitempty"`
}

// Recorder is the capability of one machine. It is safe for concurrent use.
type Recorder struct {
	mu   sync.Mutex
	file *os.File
}

// Open returns a `Recorder` that appends to a file; the directory must exist.
func Open(path string) (*Recorder, error) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Recorder{file: file}, errors.Join(dir.Sync(), dir.Close())
}

// Name returns test.witness.
func (*Recorder) Name() string { return Name }

// Description returns a sentence for people.
func (*Recorder) Description() string { return "Leaves a mark when it begins and when it ends." }

// Schema returns the JSON schema of Input.
func (*Recorder) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["sleepMilliseconds"],"properties":{` +
		`"sleepMilliseconds":{"type":"integer","minimum":0},"progress":{"type":"boolean"},"fail":{"type":"boolean"}}}`)
}

// Mediation returns None: no person takes part in a test.
func (*Recorder) Mediation() capability.Mediation { return capability.MediationNone }

// Run marks its start, sleeps, marks its end, and returns an output that no other run returns.
func (w *Recorder) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
	var in Input
	if err := json.Unmarshal(request.Input, &in); err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	if err := w.writeMark(check.Mark{UID: request.DispatchUID, Event: check.Start}); err != nil {
		return nil, err
	}
	output, err := w.work(ctx, in, request)
	end := check.Mark{UID: request.DispatchUID, Event: check.End, Output: output}
	if err != nil {
		end.Error = err.Error()
	}
	return output, errors.Join(err, w.writeMark(end))
}

func (w *Recorder) work(ctx context.Context, in Input, request capability.Request) (json.RawMessage, error) {
	half := time.Duration(in.SleepMilliseconds) * time.Millisecond / 2
	if err := backoff.Sleep(ctx, half); err != nil {
		return nil, err
	}
	if in.Progress {
		request.Progress(50, "half-way")
	}
	if err := backoff.Sleep(ctx, half); err != nil {
		return nil, err
	}
	if in.Fail {
		return nil, errors.New("it was asked to fail")
	}
	return json.Marshal(map[string]string{"run": rand.Text()})
}

// writeMark appends one line with one write and waits until the line is on disk.
func (w *Recorder) writeMark(m check.Mark) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.Time = time.Now()
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := w.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("mark the %s of a run: %w", m.Event, err)
	}
	return w.file.Sync()
}
