// Package mediation decides, on the machine alone, whether a capability may run. The cluster can
// ask but cannot answer.
//
// A policy file of the machine's user lists the runs that need no question and the runs that are
// refused. All other runs that need a person become questions in the ApprovalQueue. The user of the
// machine answers them at the terminal of the agent (Prompt), or with mooring-agent mediate over
// the Server's socket. No answer in time is a denial.
package mediation

import (
	"context"
	"errors"
	"time"
)

// Question describes a run for the person who decides about it. Every text in it that came from the
// cluster is untrusted.
type Question struct {
	// Namespace, Name and UID identify the dispatch.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`

	Capability  string `json:"capability"`
	Description string `json:"description,omitempty"`
	// Target is the complete object of the run in one text, such as a command line with its input.
	Target string `json:"target"`
	// Warning is a sentence of the agent about the target, mostly empty. A question with a warning
	// goes to a person even when a rule allows the run.
	Warning string `json:"warning,omitempty"`
	// RequestedBy is the cluster's user who requested the run.
	RequestedBy string `json:"requestedBy"`
	// Since is the time of the first question, and Until the time at which no answer becomes a
	// denial. Decide receives the end of the dispatch as Until. It receives Since only for a
	// question of an earlier process of the agent; that question keeps the rest of its time.
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`

	// MediationRequired is true when the capability itself requires mediation.
	MediationRequired bool `json:"-"`
}

// AnswerStore stores the steps of a mediation on disk, each before it takes effect.
type AnswerStore interface {
	// StoreQuestion stores that the question is put to user.
	StoreQuestion(user string, since time.Time) error
	// StoreAnswer stores the answer; by is empty when no person answered.
	StoreAnswer(allowed bool, by string) error
}

// Policy decides whether a run may start. The agent calls it before every run.
type Policy interface {
	// AllowsWithoutQuestion reports whether the run needs no answer. It asks no person and does not
	// wait.
	AllowsWithoutQuestion(q Question) bool
	// Decide returns nil to allow the run, a *Denied, or the cause of ctx's end.
	Decide(ctx context.Context, q Question, record AnswerStore) error
}

// Denied is a denial, with a stable code for the cluster and a sentence for people.
type Denied struct {
	Code    string
	Message string
}

func (d *Denied) Error() string { return d.Message }

var (
	// ErrNoQuestion means that no open question has the given name or UID.
	ErrNoQuestion = errors.New("no such question is open: it was answered, cancelled or never asked; see mooring-agent mediate list")
	// ErrAmbiguous means that more than one open question has the given name.
	ErrAmbiguous = errors.New("more than one question has that name; give the UID")
)
