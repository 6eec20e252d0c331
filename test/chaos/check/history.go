// Package check tells from outside whether a mailbox kept its promises: nothing lost, nothing run
// twice, nothing untrue said. It knows what was asked for, what a plain watch of the API saw, and
// what the runs themselves left on their machines. It shares no code with what it judges.
package check

import (
	"encoding/json"
	"time"
)

// Asked is a dispatch as somebody wanted it.
type Asked struct {
	UID, Name, Machine string
	// Began and Done are when the creation was first sent and when it was known to be stored; Created
	// is what the API server says, in whole seconds.
	Began, Done, Created time.Time
	// Expiry is until when it must have started, Timeout how long it may run.
	Expiry, Timeout time.Duration
	// Cancel is when somebody first tried to cancel it; zero: never.
	Cancel time.Time
	// Revoked, Deleted and Restored are when its Node was first tried to be revoked or deleted, and when
	// an older copy of the directory of its agent was put back; zero: never.
	Revoked, Deleted, Restored time.Time
	// Fails: the run is asked to return an error of its own.
	Fails bool
}

// State is what the status of a dispatch said at some moment.
type State struct {
	// Time is when it was seen, which is after it was stored.
	Time             time.Time
	Phase, Execution string
	// Code is status.error.code.
	Code string
	// Output is status.output; empty when there is none.
	Output json.RawMessage
}

// What a Mark can say.
const (
	// Start: the run begins; nothing was done yet.
	Start = "start"
	// End: the run is over and is about to return.
	End = "end"
)

// Mark is what a run wrote on its machine, durably, before it went on.
type Mark struct {
	// Machine is where it was found.
	Machine string    `json:"-"`
	UID     string    `json:"uid"`
	What    string    `json:"what"`
	Time    time.Time `json:"time"`
	// Output is what an End returned, Error that it returned an error.
	Output json.RawMessage `json:"output,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// History is all that is known of a run that is over: every machine and every part of the cluster
// has been back for long enough to end whatever was asked for.
type History struct {
	Asked []Asked
	// Seen are the states of each dispatch by UID, in the order they were stored, the last one read
	// at the end.
	Seen map[string][]State
	// Marks are those of all machines, those of one machine in the order they were written.
	Marks []Mark
	// Deaths are when the agent of a machine was killed, in order. Its journal was lost only where Asked.Restored
	// is set.
	Deaths map[string][]time.Time
	// OneAtATime are the machines that are offered one dispatch after the other: there first created
	// is first started.
	OneAtATime map[string]bool
}

// Kind is what was broken.
type Kind string

// The kinds of violations.
const (
	// Lost: a dispatch did not end, or is gone.
	Lost Kind = "Lost"
	// RunTwice: more than one run began.
	RunTwice Kind = "RunTwice"
	// Foreign: something ran that this machine was not asked for.
	Foreign Kind = "Foreign"
	// RanAfterAll: called NotStarted or Rejected, and ran.
	RanAfterAll Kind = "RanAfterAll"
	// NeverRan: called Started or Finished before a run had begun or ended.
	NeverRan Kind = "NeverRan"
	// WrongOutcome: the end is not the one that the run came to.
	WrongOutcome Kind = "WrongOutcome"
	// WrongOutput: the output is not what the run returned.
	WrongOutput Kind = "WrongOutput"
	// ResultLost: the run ended, its agent had time to note that, and the end is still unknown.
	ResultLost Kind = "ResultLost"
	// Unsaid: an end without a word on the run or, when it is a bad one, on the cause.
	Unsaid Kind = "Unsaid"
	// Backwards: phase or execution took a step that there is not.
	Backwards Kind = "Backwards"
	// Rewritten: what is final was changed.
	Rewritten Kind = "Rewritten"
	// NoCause: the reason given for a bad end did not exist.
	NoCause Kind = "NoCause"
	// TooLate: it began after it had expired.
	TooLate Kind = "TooLate"
	// OutOfOrder: a machine that does one at a time began later ones first, again and again.
	OutOfOrder Kind = "OutOfOrder"
)

// Violation is a broken promise.
type Violation struct {
	Kind Kind
	// UID is of the dispatch.
	UID, Text string
}

// Check returns every violation, dispatch by dispatch.
func Check(h History) []Violation {
	var found []Violation
	cases, foreign := h.cases()
	found = append(found, foreign...)
	for i := range cases {
		c := &cases[i]
		for _, rule := range rules {
			for _, text := range rule.find(c) {
				found = append(found, Violation{rule.kind, c.asked.UID, text})
			}
		}
	}
	return append(found, outOfOrder(h, cases)...)
}
