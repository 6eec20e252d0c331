package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/backoff"
	"github.com/mooring-dev/mooring/nodeagent/capability"
)

// appendLine sleeps, then appends one line to a file: whoever counts the lines
// knows how often it ran.
type appendLine struct{}

// appendInput is its input.
type appendInput struct {
	// File is the absolute path of the file, Line what is appended to it.
	File string `json:"file"`
	Line string `json:"line"`
	// SleepMilliseconds passes before the line is written.
	SleepMilliseconds int `json:"sleepMilliseconds"`
	// StartedFile is the path of a file that is made before the sleep. Empty makes none.
	StartedFile string `json:"startedFile"`
}

// Name is test.append.
func (appendLine) Name() string { return "test.append" }

// Description is for people.
func (appendLine) Description() string { return "Sleeps, then appends one line to a file." }

// Schema describes appendInput.
func (appendLine) Schema() json.RawMessage {
	return json.RawMessage(`{"type":"object","required":["file","line"],"properties":{` +
		`"file":{"type":"string"},"line":{"type":"string"},"sleepMilliseconds":{"type":"integer","minimum":0},"startedFile":{"type":"string"}}}`)
}

// Mediation is not needed in tests.
func (appendLine) Mediation() capability.Mediation { return capability.None }

// Check refuses an input that names no file.
func (appendLine) Check(input json.RawMessage) error {
	_, err := parseInput(input)
	return err
}

// Run appends with one write, so a line is there whole or not at all.
func (appendLine) Run(ctx context.Context, request capability.Request) (json.RawMessage, error) {
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
