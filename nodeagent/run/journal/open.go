package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Options configure Open.
type Options struct {
	Path   string
	Limits Limits
	// NewID returns a random id for a new journal.
	NewID func() string
	// Now returns the time for the name of a damaged file.
	Now func() time.Time
	Log *slog.Logger
}

// Open opens the journal or creates one. It moves a damaged file aside and creates a new journal
// with a new id. The gateway then ends the open dispatches with JournalReset, which is correct:
// the journal no longer has them.
func Open(o Options) (*Journal, error) {
	j, err := open(o)
	if !errors.Is(err, errDamaged) {
		return j, err
	}
	damagedPath := fmt.Sprintf("%s.damaged-%d", o.Path, o.Now().Unix())
	if renameErr := os.Rename(o.Path, damagedPath); renameErr != nil {
		return nil, fmt.Errorf("%w; move it aside: %w", err, renameErr)
	}
	o.Log.Error("journal is damaged and was moved aside; its open dispatches will be reported as lost", "movedTo", damagedPath, "error", err)
	return open(o)
}

func open(o Options) (j *Journal, err error) {
	// bbolt reads through a memory map, so damage shows as a panic or a fault.
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
		return nil, classifyOpenError(err)
	}
	if err := checkFileSize(db); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(o.Path)); err != nil {
		return nil, err
	}
	j = &Journal{db: db, limits: o.Limits.withDefaults()}
	if err := j.loadOrCreate(o.NewID); err != nil {
		return nil, err
	}
	return j, nil
}

// classifyOpenError returns errDamaged for a damaged file, which Open moves aside. Other errors
// leave the file.
func classifyOpenError(err error) error {
	for _, damage := range []error{bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
	}
	return fmt.Errorf("open journal: %w", err)
}

// loadOrCreate creates the buckets of a new journal and reads every entry of an existing one.
// Damage shows here and not in the middle of a run.
func (j *Journal) loadOrCreate(newID func() string) error {
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
	return j.db.View(j.verifyAndCount)
}

// verifyAndCount checks every page and counts every entry.
func (j *Journal) verifyAndCount(tx *bolt.Tx) error {
	var problem error
	for found := range tx.Check() { // drained: a goroutine sends to this channel
		problem = found
	}
	if problem != nil {
		return fmt.Errorf("%w: %w", errDamaged, problem)
	}
	return forEachEntry(tx, func(e Entry) error {
		j.usage.add(e, 1)
		return nil
	})
}

// checkFileSize rejects a file that ends before its last page. A read behind the end of the file
// would be a fault of the whole process.
func checkFileSize(db *bolt.DB) error {
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

func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot sync a folder and does not need it
	}
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
