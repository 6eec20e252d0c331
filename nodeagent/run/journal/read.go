package journal

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Lookup returns the entry of a dispatch.
func (j *Journal) Lookup(uid string) (entry Entry, known bool, err error) {
	err = j.db.View(func(tx *bolt.Tx) error {
		entry, known, err = getEntry(tx, uid)
		return err
	})
	if err != nil {
		return Entry{}, false, fmt.Errorf("look up dispatch: %w", err)
	}
	return entry, known, nil
}

// Unsettled lists the entries whose outcome the gateway has not yet saved.
func (j *Journal) Unsettled() ([]Entry, error) {
	return j.listEntries("list open dispatches", func(e Entry) bool { return !e.Settled })
}

func (j *Journal) listEntries(operation string, match func(Entry) bool) ([]Entry, error) {
	var found []Entry
	err := j.db.View(func(tx *bolt.Tx) error {
		return forEachEntry(tx, func(e Entry) error {
			if match(e) {
				found = append(found, e)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	return found, nil
}

// Horizon returns the latest expiry of all entries that were ever pruned. An unknown dispatch that
// expires at or before the horizon may have run, so it must not run now. A clock that went back
// therefore cannot make a pruned dispatch run twice.
func (j *Journal) Horizon() (time.Time, error) {
	var horizon time.Time
	err := j.db.View(func(tx *bolt.Tx) error {
		horizon = readHorizon(tx)
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("read horizon: %w", err)
	}
	return horizon, nil
}
