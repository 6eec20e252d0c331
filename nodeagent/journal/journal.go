// Package journal is the agent's memory of dispatches: what makes a run happen
// at most once and its result never get lost, over any crash.
//
// An entry goes Accepted -> Running -> Finished, each step on disk (fsync) before
// the world sees it: Accepted before the gateway is told, Running before the
// capability starts, Finished before the result is sent. What may start at once is
// Running from the beginning, one write for both. After Settled only the
// output is dropped; UID and outcome stay until an hour after the dispatch
// expired. A full journal refuses new entries, it never forgets.
//
// Two numbers let the gateway see that a journal was lost, copied or restored:
// the journal's id, and the count of dials, which grows on disk before each dial.
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
	// ErrFull says that there is no room to remember another dispatch.
	ErrFull = errors.New("journal is full")
	// ErrState says that an entry is not in the state a step begins from.
	ErrState = errors.New("journal entry is in another state")
	// ErrUnknown says that there is no entry of that UID.
	ErrUnknown = errors.New("dispatch is not in the journal")

	errDamaged = errors.New("journal is damaged")
)

// MaxUnsettled is how many dispatches may be open at once by default. All of them go into one Hello.
const MaxUnsettled = 512

// Limits bound the journal. Zero values mean the defaults.
type Limits struct {
	// Entries is how many dispatches are remembered, settled ones included (100,000).
	Entries int
	// Unsettled is how many may be open at once (MaxUnsettled).
	Unsettled int
	// PayloadBytes bounds the outputs that wait to be settled and the inputs that wait for a
	// person, together (64 MiB).
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

// Journal is an open journal. It is for concurrent use.
type Journal struct {
	db     *bolt.DB
	id     string
	limits Limits

	mu    sync.Mutex // serialises writes and guards what follows
	usage usage
}

// usage counts what limits bound.
type usage struct {
	entries, unsettled, payloadBytes int
	// first is no later than the first expiry among the settled ones; zero when there is none.
	first time.Time
}

// ID is the journal's own, made with it.
func (j *Journal) ID() string { return j.id }

// RunPrefix begins the name of every run of this journal on the machine
// (capability.Request.Run), over restarts of the agent.
func (j *Journal) RunPrefix() string { return j.id + "/" }

// NextDial counts a dial, durably, and returns the new count.
func (j *Journal) NextDial() (uint64, error) {
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

// Close closes the file. Nothing is lost without it.
func (j *Journal) Close() error { return j.db.Close() }

func (u *usage) add(e Entry, sign int) {
	u.entries += sign
	if e.Settled {
		if sign > 0 && (u.first.IsZero() || e.Expires.Before(u.first)) {
			u.first = e.Expires
		}
		return
	}
	u.unsettled += sign
	if e.Outcome != nil {
		u.payloadBytes += sign * len(e.Outcome.Output)
	}
	if e.Mediation != nil && e.Mediation.Held != nil {
		u.payloadBytes += sign * len(e.Mediation.Held.Input)
	}
}
