package journal

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// State is how far an entry came.
type State string

// The states, in order.
const (
	// Accepted: remembered, not started.
	Accepted State = "Accepted"
	// Running: started, or about to start this very moment.
	Running State = "Running"
	// Finished: the outcome is known.
	Finished State = "Finished"
)

// Result is what became of a dispatch; it maps to a terminal phase.
type Result string

// The results.
const (
	Succeeded Result = "Succeeded"
	Failed    Result = "Failed"
	TimedOut  Result = "TimedOut"
	Rejected  Result = "Rejected"
	Cancelled Result = "Cancelled"
)

// Execution is what is proven about the run.
type Execution string

// The proofs.
const (
	// NotStarted: the capability was never called.
	NotStarted Execution = "NotStarted"
	// Started: it was called and has not returned.
	Started Execution = "Started"
	// Ended: it was called and has returned.
	Ended Execution = "Finished"
	// Unknown: it may have run.
	Unknown Execution = "Unknown"
)

// Ref names a dispatch.
type Ref struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// UID is the key of the journal.
	UID string `json:"uid"`
}

// Entry is what is remembered of one dispatch.
type Entry struct {
	Dispatch   Ref    `json:"dispatch"`
	Capability string `json:"capability"`
	// Expires is when it must have started, in the gateway's clock.
	Expires time.Time `json:"expires"`
	State   State     `json:"state"`
	// StartedTime is set with Running.
	StartedTime time.Time `json:"startedTime,omitzero"`
	// Mediation is set once a person was asked.
	Mediation *Mediation `json:"mediation,omitempty"`
	// Outcome is set with Finished.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Settled: the gateway has saved the outcome.
	Settled bool `json:"settled,omitempty"`
}

// Answer is what came of a question to a person.
type Answer string

// The answers.
const (
	// Allowed: the person said yes.
	Allowed Answer = "Allowed"
	// Denied: the person said no.
	Denied Answer = "Denied"
	// Unanswered: nobody said anything in time, which is a no.
	Unanswered Answer = "Unanswered"
)

// Mediation is a question to a person at the machine.
type Mediation struct {
	// AskedUser is the local user who was asked, Since when.
	AskedUser string    `json:"askedUser"`
	Since     time.Time `json:"since"`
	// Held is kept until there is an answer, for an agent that restarts meanwhile to ask again.
	Held *Held `json:"held,omitempty"`
	// Answer is empty while the person thinks; By and Time belong to it.
	Answer Answer    `json:"answer,omitempty"`
	By     string    `json:"by,omitempty"`
	Time   time.Time `json:"time,omitzero"`
}

// Held is the rest of an offer: what a run needs that the entry does not say.
type Held struct {
	// Input is a JSON object.
	Input          json.RawMessage `json:"input"`
	Timeout        time.Duration   `json:"timeout"`
	MaxOutputBytes int             `json:"maxOutputBytes"`
	RequestedBy    string          `json:"requestedBy"`
}

// Outcome is the end of a dispatch.
type Outcome struct {
	Result    Result    `json:"result"`
	Execution Execution `json:"execution"`
	// Output is a JSON value, or empty; dropped once settled.
	Output          json.RawMessage `json:"output,omitempty"`
	OutputTruncated bool            `json:"outputTruncated,omitempty"`
	ErrorCode       string          `json:"errorCode,omitempty"`
	ErrorMessage    string          `json:"errorMessage,omitempty"`
	FinishedTime    time.Time       `json:"finishedTime"`
}

func getEntry(tx *bolt.Tx, uid string) (Entry, bool, error) {
	content := tx.Bucket(dispatchesBucket).Get([]byte(uid))
	if content == nil {
		return Entry{}, false, nil
	}
	entry, err := decode(content)
	return entry, err == nil, err
}

func putEntry(tx *bolt.Tx, e Entry) error {
	content, err := jsontext.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode entry: %w", err)
	}
	return tx.Bucket(dispatchesBucket).Put([]byte(e.Dispatch.UID), content)
}

func eachEntry(tx *bolt.Tx, visit func(Entry) error) error {
	dispatches := tx.Bucket(dispatchesBucket)
	if dispatches == nil {
		return fmt.Errorf("%w: it has no dispatches", errDamaged)
	}
	return dispatches.ForEach(func(_, content []byte) error {
		entry, err := decode(content)
		if err != nil {
			return err
		}
		return visit(entry)
	})
}

func decode(content []byte) (Entry, error) {
	var entry Entry
	if err := json.Unmarshal(content, &entry); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	// An earlier version wrote escapes that made a result too large to send.
	if entry.Outcome != nil {
		entry.Outcome.Output = jsontext.Plain(entry.Outcome.Output)
	}
	if entry.Mediation != nil && entry.Mediation.Held != nil {
		entry.Mediation.Held.Input = jsontext.Plain(entry.Mediation.Held.Input)
	}
	return entry, nil
}
