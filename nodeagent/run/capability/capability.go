// Package capability defines the capabilities of a machine: each is a small named function from a
// JSON object to a JSON value.
package capability

import (
	"context"
	"encoding/json"
	"time"
)

// Mediation selects whether a person at the machine is asked before a run.
type Mediation int

// The kinds of mediation.
const (
	// MediationNone runs the capability without asking.
	MediationNone Mediation = iota
	// MediationLocal asks a person at the machine first.
	MediationLocal
)

// Capability is a named function that the machine can run. Implementations are for concurrent use.
type Capability interface {
	// Name returns a dotted lower-case name, such as system.health.
	Name() string
	// Description returns one sentence for people.
	Description() string
	// Schema returns the JSON schema of the input, at most 4 KiB; nil accepts any object.
	Schema() json.RawMessage
	// Mediation returns whether a person is asked first.
	Mediation() Mediation
	// Run runs the capability and returns one JSON value. It returns soon after ctx ends. An *Error
	// sets the error code that is reported.
	Run(ctx context.Context, request Request) (json.RawMessage, error)
}

// Checker is a Capability that rejects inputs which its schema cannot exclude. The dispatch of a
// rejected input ends as Rejected and provably did not start.
type Checker interface {
	// Check returns the reason why the input is invalid, for the person who wrote it.
	Check(input json.RawMessage) error
}

// Targeter is a Capability that describes the object of an input in one line: the address that is
// opened, the command that is run. People and policies decide by that line; without a Targeter they
// see the whole input.
type Targeter interface {
	// Target returns the target of an input that passed Check.
	Target(input json.RawMessage) (string, error)
}

// Warner is a Targeter some of whose targets may do more than the person expects.
type Warner interface {
	// Warning returns a sentence for the person about a target; for most targets it is empty. A
	// target with a warning never runs without a person's answer.
	Warning(target string) string
}

// TimeLimited is a Capability with a run time limit of its own. The shorter limit of the capability
// and the dispatch applies.
type TimeLimited interface {
	// Limit returns the limit, which is positive.
	Limit() time.Duration
}

// Conditional is a Capability that this machine may be unable to run.
type Conditional interface {
	// Unavailable returns the reason why the capability cannot run now; empty means that it can. A
	// reason of more than 256 bytes is cut to its last 256 bytes.
	Unavailable() string
}

// Request is the input of one run.
type Request struct {
	// DispatchUID is the UID of the dispatch in the cluster.
	DispatchUID string
	// RunID is the unique name of this run on the machine, over restarts of the agent. Its processes
	// are marked with the name before they start.
	RunID string
	// Input is a JSON object that passed the schema and Check.
	Input json.RawMessage
	// Target is the text that a person was shown: the target of a Targeter, or else the input.
	Target string
	// Warning is the warning that a person was shown with the target: from a Warner, or empty.
	Warning string
	// RequestedBy is the name of the requesting user in the cluster.
	RequestedBy string
	// MaxOutputBytes is the number of output bytes that are kept.
	MaxOutputBytes int
	// Progress reports the progress of the run: 0 to 100 percent, and a sentence. It is never nil,
	// is for concurrent use and does not block.
	Progress func(percent int, message string)
}

// Error is a failure with a stable code, one CamelCase word.
type Error struct {
	Code    string
	Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }
