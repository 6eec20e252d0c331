// Package capability is what a machine can do: each capability is a small named
// function from a JSON object to a JSON value.
package capability

import (
	"context"
	"encoding/json"
	"time"
)

// Mediation says whether a person at the machine is asked first.
type Mediation int

// The kinds of mediation.
const (
	// None runs without asking.
	None Mediation = iota
	// Local asks a person at the machine.
	Local
)

// Capability is one thing the machine can do. Implementations are for concurrent
// use.
type Capability interface {
	// Name is dotted lower case, such as system.health.
	Name() string
	// Description is one sentence for people.
	Description() string
	// Schema is the JSON schema of the input, at most 4 KiB; nil when any object will do.
	Schema() json.RawMessage
	// Mediation says whether a person is asked first.
	Mediation() Mediation
	// Run does it and returns one JSON value. It ends soon after ctx does. An
	// *Error chooses the code that is reported.
	Run(ctx context.Context, request Request) (json.RawMessage, error)
}

// Checker is a Capability that refuses inputs its schema cannot; such a dispatch ends
// Rejected, proven not to have started.
type Checker interface {
	// Check returns what is wrong with the input, for the person who wrote it.
	Check(input json.RawMessage) error
}

// Targeter is a Capability that can say in one line what an input is about: the
// address that is opened, the command that is run. People and policies decide by it;
// without it they see the input.
type Targeter interface {
	// Target is for an input that was checked.
	Target(input json.RawMessage) (string, error)
}

// Warner is a Targeter of which some targets may do more than the person expects.
type Warner interface {
	// Warning returns a sentence for the person about a target; empty for most. A target with a
	// warning is never run without a person's answer.
	Warning(target string) string
}

// Limited is a Capability with a run time of its own; the shorter of it and the one
// of the dispatch counts.
type Limited interface {
	// Limit is positive.
	Limit() time.Duration
}

// Conditional is a Capability that this machine may be unable to run.
type Conditional interface {
	// Unavailable is the reason why it cannot be run now; empty when it can. Of more than 256 bytes the
	// last ones are kept.
	Unavailable() string
}

// Request is one run.
type Request struct {
	// DispatchUID is the cluster's id of the dispatch.
	DispatchUID string
	// Run names this run unlike every other one on the machine, over restarts of the agent.
	// Processes are marked with it before they start.
	Run string
	// Input is a JSON object that passed the schema and Check.
	Input json.RawMessage
	// Target is what a person was shown: of Targeter, else the input.
	Target string
	// Warning is the text that a person was shown beside it: of Warner, or empty.
	Warning string
	// RequestedBy is the user who asked, as the cluster knows them.
	RequestedBy string
	// MaxOutputBytes is how much of the output will be kept.
	MaxOutputBytes int
	// Progress tells how far it came: 0 to 100, and a sentence. Never nil; for
	// concurrent use; it does not block.
	Progress func(percent int, message string)
}

// Error is a failure with a stable code, one CamelCase word.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }
