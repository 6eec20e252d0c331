package journal

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/mooring-dev/mooring/internal/jsontext"
)

// State is the progress of an entry.
type State string

// The states, in order.
const (
	// Accepted means that the dispatch is on disk and its run has not started.
	Accepted State = "Accepted"
	// Running means that the run has started, or starts right after the write.
	Running State = "Running"
	// Finished means that the outcome is on disk.
	Finished State = "Finished"
)

// Result is the kind of an outcome; each one maps to a terminal phase of a dispatch.
type Result string

// The results.
const (
	Succeeded Result = "Succeeded"
	Failed    Result = "Failed"
	TimedOut  Result = "TimedOut"
	Rejected  Result = "Rejected"
	Cancelled Result = "Cancelled"
)

// Execution is the proven part of a run.
type Execution string

// The values of Execution.
const (
	// NotStarted means that the agent never called the capability.
	NotStarted Execution = "NotStarted"
	// Started means that the agent called the capability and it has not returned.
	Started Execution = "Started"
	// Ended means that the agent called the capability and it has returned.
	Ended Execution = "Finished"
	// Unknown means that the capability may have run.
	Unknown Execution = "Unknown"
)

// Ref identifies a dispatch.
type Ref struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// UID is the key of the journal.
	UID string `json:"uid"`
}

// Entry is the journal's record of one dispatch.
type Entry struct {
	Dispatch   Ref    `json:"dispatch"`
	Capability string `json:"capability"`
	// Expires is the latest time for the start of the run, by the gateway's clock.
	Expires time.Time `json:"expires"`
	State   State     `json:"state"`
	// StartedTime is set with Running.
	StartedTime time.Time `json:"startedTime,omitzero"`
	// Mediation is set as soon as a person is asked.
	Mediation *Mediation `json:"mediation,omitempty"`
	// Outcome is set with Finished.
	Outcome *Outcome `json:"outcome,omitempty"`
	// Settled is true once the gateway has saved the outcome.
	Settled bool `json:"settled,omitempty"`
}

// Answer is the answer of a person to a question.
type Answer string

// The answers.
const (
	// Allowed means that the person allowed the run.
	Allowed Answer = "Allowed"
	// Denied means that the person denied the run.
	Denied Answer = "Denied"
	// Unanswered means that no answer came in time, which counts as a denial.
	Unanswered Answer = "Unanswered"
)

// Mediation is a question to a person at the machine.
type Mediation struct {
	// AskedUser is the local user to whom the question is put; Since is the time of the question.
	AskedUser string    `json:"askedUser"`
	Since     time.Time `json:"since"`
	// PendingOffer stays until there is an answer, so that a restarted agent can put the question
	// again.
	PendingOffer *PendingOffer `json:"held,omitempty"`
	// Answer is empty while the question is open; By and Time belong to the answer.
	Answer Answer    `json:"answer,omitempty"`
	By     string    `json:"by,omitempty"`
	Time   time.Time `json:"time,omitzero"`
}

// PendingOffer is the rest of an offer: the values that a run needs and that Entry does not have.
type PendingOffer struct {
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
	// Output is a JSON value, or empty. Settle drops it.
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
	entry, err := decodeEntry(content)
	return entry, err == nil, err
}

func putEntry(tx *bolt.Tx, e Entry) error {
	content, err := jsontext.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode entry: %w", err)
	}
	return tx.Bucket(dispatchesBucket).Put([]byte(e.Dispatch.UID), content)
}

func forEachEntry(tx *bolt.Tx, visit func(Entry) error) error {
	dispatches := tx.Bucket(dispatchesBucket)
	if dispatches == nil {
		return fmt.Errorf("%w: it has no dispatches", errDamaged)
	}
	return dispatches.ForEach(func(_, content []byte) error {
		entry, err := decodeEntry(content)
		if err != nil {
			return err
		}
		return visit(entry)
	})
}

func decodeEntry(content []byte) (Entry, error) {
	var entry Entry
	if err := json.Unmarshal(content, &entry); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	// An earlier version wrote escapes that made a result too large to send.
	if entry.Outcome != nil {
		entry.Outcome.Output = jsontext.StripEscapes(entry.Outcome.Output)
	}
	if entry.Mediation != nil && entry.Mediation.PendingOffer != nil {
		entry.Mediation.PendingOffer.Input = jsontext.StripEscapes(entry.Mediation.PendingOffer.Input)
	}
	return entry, nil
}
