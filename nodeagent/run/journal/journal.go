// Package journal stores the agent's dispatches on disk. It makes a run happen at most once and
// keeps the result of a run over any crash.
//
// An entry goes Accepted -> Running -> Finished. Each step is on disk (fsync) before its effect is
// visible outside the agent. Accepted comes before the acceptance is sent to the gateway, Running
// before the capability starts, and Finished before the result is sent. A dispatch that may start
// at once begins as Running, with one write for both steps. Settle drops the output alone; UID and
// outcome stay until an hour after the dispatch expired. A full journal refuses new entries and
// never drops old ones.
//
// Two numbers let the gateway detect that a journal was lost, copied or restored. They are the
// journal's id and the dial counter, which grows on disk before each dial.
package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

var (
	metaBucket       = []byte("meta")
	dispatchesBucket = []byte("dispatches")

	idKey      = []byte("journalID")
	dialKey    = []byte("dialCounter")
	horizonKey = []byte("horizon")
)

var (
	// ErrFull means that the journal has no room for another dispatch.
	ErrFull = errors.New("journal is full")
	// ErrWrongState means that a step does not start from the present state of the entry.
	ErrWrongState = errors.New("journal entry is in another state")
	// ErrNotFound means that the journal has no entry with the UID.
	ErrNotFound = errors.New("dispatch is not in the journal")

	errDamaged = errors.New("journal is damaged")
)

// MaxUnsettled is the default bound for open dispatches. One Hello carries all of them.
const MaxUnsettled = 512

// Limits bound the journal. Zero values mean the defaults.
type Limits struct {
	// Entries bounds the stored dispatches, settled ones included (100,000).
	Entries int
	// Unsettled bounds the open dispatches (MaxUnsettled).
	Unsettled int
	// PayloadBytes bounds the sum of the outputs of unsettled dispatches and of the inputs of
	// dispatches that wait for a person (64 MiB).
	PayloadBytes int
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.Unsettled == 0 {
		l.Unsettled = MaxUnsettled
	}
	if l.PayloadBytes == 0 {
		l.PayloadBytes = 64 << 20
	}
	return l
}

// Journal is an open journal. It is safe for concurrent use.
type Journal struct {
	db     *bolt.DB
	id     string
	limits Limits

	mu    sync.Mutex // serialises writes and guards the fields below
	usage usage
}

// usage counts the quantities that Limits bounds.
type usage struct {
	entries, unsettled, payloadBytes int
	// earliestExpiry is a time no later than the first expiry of all settled entries; zero without
	// any.
	earliestExpiry time.Time
}

// ID returns the id of the journal, which is drawn once, when the file is created.
func (j *Journal) ID() string { return j.id }

// RunPrefix returns the prefix of the names of all runs of this journal on the machine
// (capability.Request.Run). It stays the same over restarts of the agent.
func (j *Journal) RunPrefix() string { return j.id + "/" }

// IncrementDialCounter increments the dial counter on disk and returns the new value.
func (j *Journal) IncrementDialCounter() (uint64, error) {
	var count uint64
	err := j.db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if old := meta.Get(dialKey); len(old) == 8 {
			count = binary.BigEndian.Uint64(old)
		}
		count++
		return meta.Put(dialKey, binary.BigEndian.AppendUint64(nil, count))
	})
	if err != nil {
		return 0, fmt.Errorf("count dial: %w", err)
	}
	return count, nil
}

// Close closes the file. A journal that is not closed loses nothing.
func (j *Journal) Close() error { return j.db.Close() }

func (u *usage) add(e Entry, sign int) {
	u.entries += sign
	if e.Settled {
		if sign > 0 && (u.earliestExpiry.IsZero() || e.Expires.Before(u.earliestExpiry)) {
			u.earliestExpiry = e.Expires
		}
		return
	}
	u.unsettled += sign
	if e.Outcome != nil {
		u.payloadBytes += sign * len(e.Outcome.Output)
	}
	if e.Mediation != nil && e.Mediation.PendingOffer != nil {
		u.payloadBytes += sign * len(e.Mediation.PendingOffer.Input)
	}
}
