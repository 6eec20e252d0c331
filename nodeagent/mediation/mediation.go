// Package mediation decides, on the machine alone, whether a capability may run:
// the cluster can ask, it cannot answer.
//
// A Policy file of the machine's user says which runs need no question and which are
// refused; all others that need a person are put on the Desk, where whoever uses the
// machine answers: at the terminal of the agent (Prompt), or with mooring-agent mediate
// over the Server's socket. No answer in time is a no.
package mediation

import (
	"context"
	"errors"
	"time"
)

// Codes of a no, shared with the cluster's.
const (
	CodeDenied   = "MediationDenied"
	CodeTimedOut = "MediationTimedOut"
)

// Question is what a person decides about: everything in it that came from the cluster
// is foreign text.
type Question struct {
	// Namespace, Name and UID are those of the dispatch.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`

	Capability  string `json:"capability"`
	Description string `json:"description,omitempty"`
	// Target is the whole of what it is about, in one text.
	Target string `json:"target"`
	// Warning is a sentence of the agent about the target, mostly empty. A question with a warning
	// is asked, whatever a rule allows.
	Warning string `json:"warning,omitempty"`
	// RequestedBy is the user of the cluster who asked.
	RequestedBy string `json:"requestedBy"`
	// Since is when the person was asked first, Until when no answer becomes a no. Decide is given
	// the end of the dispatch as Until, and Since only for a question that an earlier process
	// of the agent asked: it has the rest of its time.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`

	// Needed: the capability asks for mediation by itself.
	Needed bool `json:"-"`
}

// Record makes steps of a mediation durable, each before anybody acts on it.
type Record interface {
	// Asked: user is asked from now on.
	Asked(user string, since time.Time) error
	// Answered: that is the answer; by is empty when nobody gave one.
	Answered(allowed bool, by string) error
}

// Policy is asked before anything runs.
type Policy interface {
	// Allows tells whether the run needs nobody's answer; it asks nobody and does not wait.
	Allows(q Question) bool
	// Decide returns nil to allow the run, a *Denied, or the cause of ctx's end.
	Decide(ctx context.Context, q Question, record Record) error
}

// Denied is a no, with a stable code for the cluster and a sentence for people.
type Denied struct {
	Code    string
	Message string
}

func (d *Denied) Error() string { return d.Message }

// Unattended is the policy of a machine with nobody to ask: what needs no person
// runs, what needs one does not.
type Unattended struct{}

// Allows capabilities without mediation.
func (Unattended) Allows(q Question) bool { return !q.Needed }

// Decide allows capabilities without mediation.
func (u Unattended) Decide(_ context.Context, q Question, _ Record) error {
	if u.Allows(q) {
		return nil
	}
	return &Denied{Code: CodeDenied, Message: "this agent has nobody at the machine to ask"}
}

var (
	// ErrNoQuestion says that nothing of that name waits for an answer.
	ErrNoQuestion = errors.New("no such question is open: it was answered, cancelled or never asked; see mooring-agent mediate list")
	// ErrAmbiguous says that a name stands for more than one question.
	ErrAmbiguous = errors.New("that could be more than one question; give the UID")
)
