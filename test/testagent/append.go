package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/transport/backoff"
)

// appendCapability sleeps, then appends one line to a file. The number of lines is the number of its
// runs.
type appendCapability struct{}

// appendInput is the input of `appendCapability`.
type appendInput struct {
	// File is the absolute path of the file, Line the text that is appended to it.
	File string `json:"file"`
	Line string `json:"line"`
	// SleepMilliseconds passes before the line is written.
	SleepMilliseconds int `json:"sleepMilliseconds"`
	// StartedFile is the path of a file that is created before the sleep; empty creates none.
	StartedFile string `json:"startedFile"`
}

// Name returns test.append.
func (appendCapability) Name() string { return "test.append" }

// Description returns a sentence for people.
func (appendCapability) Description() string { return "Sleeps, then appends one line to a file." }

// Schema returns the JSON schema of appendInput.
func (appendCapability) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["file","line"],"properties":{` +
		`"file":{"type":"string"},"line":{"type":"string"},"sleepMilliseconds":{"type":"integer","minimum":0},"startedFile":{"type":"string"}}}`)
}

// Mediation returns None: no person takes part in a test.
func (appendCapability) Mediation() capability.Mediation { return capability.MediationNone }

// Check rejects an input that does not name an absolute path and a line.
func (appendCapability) Check(input json.RawMessage) error {
	_, err := parseInput(input)
	return err
}

// Run appends the line with one write, so that the file never contains a part of it.
func (appendCapability) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
	in, err := parseInput(request.Input)
	if err != nil {
		return nil, err
	}
	if in.StartedFile != "" {
		if err := os.WriteFile(in.StartedFile, nil, 0o600); err != nil {
			return nil, err
		}
	}
	if err := backoff.Sleep(ctx, time.Duration(in.SleepMilliseconds)*time.Millisecond); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(in.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(file, "%s\n", in.Line)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{"line": in.Line})
}

func parseInput(input json.RawMessage) (appendInput, error) {
	var in appendInput
	if err := json.Unmarshal(input, &in); err != nil {
		return in, fmt.Errorf("read input: %w", err)
	}
	if !filepath.IsAbs(in.File) || in.Line == "" || in.SleepMilliseconds < 0 {
		return in, errors.New("file must be an absolute path, line not empty, sleepMilliseconds not negative")
	}
	return in, nil
}
