// Package journal is the agent's memory of dispatches: what makes a run happen
// at most once and its result never get lost, over any crash.
//
// An entry goes Accepted -> Running -> Finished, each step on disk (fsync) before
// the world sees it: Accepted before the gateway is told, Running before the
// capability starts, Finished before the result is sent. After Settled only the
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
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
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

// Limits bound the journal. Zero values mean the defaults.
type Limits struct {
	// Entries is how many dispatches are remembered, settled ones included (100,000).
	Entries int
	// Unsettled is how many may be open at once (512): all of them go into one Hello.
	Unsettled int
	// OutputBytes bounds the outputs that wait to be settled, together (64 MiB).
	OutputBytes int
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 100_000
	}
	if l.Unsettled == 0 {
		l.Unsettled = 512
	}
	if l.OutputBytes == 0 {
		l.OutputBytes = 64 << 20
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
	entries, unsettled, outputBytes int
}

// Options are how to open a journal.
type Options struct {
	Path   string
	Limits Limits
	// NewID draws the id of a new journal.
	NewID func() string
	// Now tells the time for the name of a damaged file.
	Now func() time.Time
	Log *slog.Logger
}

// Open opens the journal or makes one. A damaged file is moved aside and a new
// journal, with a new id, begun: the gateway then treats what was open as a
// JournalReset, which is the truth.
func Open(o Options) (*Journal, error) {
	j, err := open(o)
	if !errors.Is(err, errDamaged) {
		return j, err
	}
	aside := fmt.Sprintf("%s.damaged-%d", o.Path, o.Now().Unix())
	if renameErr := os.Rename(o.Path, aside); renameErr != nil {
		return nil, fmt.Errorf("%w; move it aside: %w", err, renameErr)
	}
	o.Log.Error("journal is damaged; what it remembered will be reported as lost", "movedTo", aside, "error", err)
	return open(o)
}

func open(o Options) (j *Journal, err error) {
	// bbolt reads through a memory map: damage shows as a panic or a fault.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var db *bolt.DB
	defer func() {
		if r := recover(); r != nil {
			j, err = nil, fmt.Errorf("%w: %v", errDamaged, r)
		}
		if err != nil && db != nil {
			db.Close()
		}
	}()
	db, err = bolt.Open(o.Path, 0o600, &bolt.Options{Timeout: 2 * time.Second})
	if err != nil {
		return nil, classify(err)
	}
	if err := checkWhole(db); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(o.Path)); err != nil {
		return nil, err
	}
	j = &Journal{db: db, limits: o.Limits.withDefaults()}
	if err := j.prepare(o.NewID); err != nil {
		return nil, err
	}
	return j, nil
}

// classify tells damage, which is moved aside, from trouble, which is not.
func classify(err error) error {
	for _, damage := range []error{bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	return fmt.Errorf("open journal: %w", err)
}

// prepare makes the buckets of a new journal; of an old one it reads every entry,
// so that damage shows now and not in the middle of a run.
func (j *Journal) prepare(newID func() string) error {
	err := j.db.Update(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			var err error
			if meta, err = tx.CreateBucket(metaBucket); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(dispatchesBucket); err != nil {
				return err
			}
			if err := meta.Put(idKey, []byte(newID())); err != nil {
				return err
			}
		}
		j.id = string(meta.Get(idKey))
		return nil
	})
	if err != nil {
		return fmt.Errorf("prepare journal: %w", err)
	}
	if j.id == "" {
		return fmt.Errorf("%w: it has no id", errDamaged)
	}
	return j.db.View(j.readAll)
}

// readAll checks every page and counts every entry.
func (j *Journal) readAll(tx *bolt.Tx) error {
	var problem error
	for found := range tx.Check() { // to its end: it has a goroutine behind it
		problem = found
	}
	if problem != nil {
		return fmt.Errorf("%w: %w", errDamaged, problem)
	}
	return eachEntry(tx, func(e Entry) error {
		j.usage.add(e, 1)
		return nil
	})
}

// checkWhole refuses a file that ends before its last page: reading on would be
// a fault of the whole process.
func checkWhole(db *bolt.DB) error {
	info, err := os.Stat(db.Path())
	if err != nil {
		return fmt.Errorf("inspect journal: %w", err)
	}
	return db.View(func(tx *bolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: it has %d bytes, %d are missing", errDamaged, info.Size(), tx.Size()-info.Size())
		}
		return nil
	})
}

// ID is the journal's own, made with it.
func (j *Journal) ID() string { return j.id }

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
		return
	}
	u.unsettled += sign
	if e.Outcome != nil {
		u.outputBytes += sign * len(e.Outcome.Output)
	}
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("sync journal's directory: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync journal's directory: %w", err)
	}
	return nil
}
