// Package check judges a dispatch system from outside: no dispatch may be lost, none may run twice,
// and no status may be wrong. It knows the requested dispatches, the states that a plain watch of
// the API delivered, and the marks that the runs left on their machines. It shares no code with the
// system that it judges.
package check

import (
	"encoding/json"
	"time"
)

// Request is a dispatch as the client requested it.
type Request struct {
	UID, Name, Machine string
	// CreateSent is when the creation was first sent, `CreateDone` when it was known to be stored. Created is
	// the API server's creation timestamp, in whole seconds.
	CreateSent, CreateDone, Created time.Time
	// Expiry is the time within which the run must start, Timeout the longest run time.
	Expiry, Timeout time.Duration
	// Cancel is when the client first tried to cancel the dispatch; zero: never.
	Cancel time.Time
	// Revoked and Deleted are when the client first tried to revoke or delete the Node. Restored is
	// when an older copy of the agent's directory was put back. Zero: never.
	Revoked, Deleted, Restored time.Time
	// Fails is true when the run is asked to return an error of its own.
	Fails bool
}

// State is the status of a dispatch at some moment.
type State struct {
	// Time is when the state was seen, which is after it was stored.
	Time             time.Time
	Phase, Execution string
	// Code is status.error.code.
	Code string
	// Output is status.output; empty when there is none.
	Output json.RawMessage
}

// The events that a Mark can record.
const (
	// Start marks that the run begins, before it does anything.
	Start = "start"
	// End marks that the run is about to return.
	End = "end"
)

// Mark is an entry that a run wrote durably on its machine before it continued.
type Mark struct {
	// Machine is the machine on which the mark was found.
	Machine string    `json:"-"`
	UID     string    `json:"uid"`
	Event   string    `json:"what"`
	Time    time.Time `json:"time"`
	// Output is the output of an End, Error the error that the run returned.
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// History holds everything that is known after a test run. All machines and all parts of the
// cluster have been back for long enough to end every dispatch.
type History struct {
	Requests []Request
	// States holds the states of each dispatch by UID, in the order in which they were stored. The
	// last one was read at the end.
	States map[string][]State
	// Marks holds the marks of all machines; the marks of one machine are in the order in which
	// they were written.
	Marks []Mark
	// Kills holds the times at which the agent of a machine was killed, in order. A journal was
	// lost only where Restored is set.
	Kills map[string][]time.Time
	// OneAtATime holds the machines that receive one offer at a time. On these the order of starts
	// is the order of creation.
	OneAtATime map[string]bool
}

// Kind is a kind of violation.
type Kind string

// The kinds of violations.
const (
	// Lost: a dispatch did not end, or it does not exist any more.
	Lost Kind = "Lost"
	// RunTwice: more than one run of a dispatch began.
	RunTwice Kind = "RunTwice"
	// Foreign: a dispatch ran on a machine for which it was not requested.
	Foreign Kind = "Foreign"
	// RanThoughNotStarted: a dispatch was reported as NotStarted or Rejected, and ran.
	RanThoughNotStarted Kind = "RanAfterAll"
	// NeverRan: a dispatch was reported as Started or Finished before a run had begun or ended.
	NeverRan Kind = "NeverRan"
	// WrongOutcome: the reported end contradicts the end of the run.
	WrongOutcome Kind = "WrongOutcome"
	// WrongOutput: the reported output is not the output of the run.
	WrongOutput Kind = "WrongOutput"
	// ResultLost: the run ended and its agent had time to store that, but the end is still unknown.
	ResultLost Kind = "ResultLost"
	// Incomplete: an end without an execution or, unless it is a success, without a reason.
	Incomplete Kind = "Unsaid"
	// Backwards: phase or execution changed in a way that does not exist.
	Backwards Kind = "Backwards"
	// Rewritten: a final value was changed.
	Rewritten Kind = "Rewritten"
	// NoCause: the reason of a failed end did not happen.
	NoCause Kind = "NoCause"
	// TooLate: a run began after its dispatch had expired.
	TooLate Kind = "TooLate"
	// OutOfOrder: a machine that runs one dispatch at a time repeatedly began later ones first.
	OutOfOrder Kind = "OutOfOrder"
)

// Violation is a broken promise.
type Violation struct {
	Kind Kind
	// UID is the UID of the dispatch.
	UID, Text string
}

// Check returns every violation, sorted by dispatch.
func Check(h History) []Violation {
	var found []Violation
	cases, foreign := h.cases()
	found = append(found, foreign...)
	for i := range cases {
		c := &cases[i]
		for _, rule := range rules {
			for _, text := range rule.find(c) {
				found = append(found, Violation{rule.kind, c.request.UID, text})
			}
		}
	}
	return append(found, checkOrder(h, cases)...)
}
