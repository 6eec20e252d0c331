package journal

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Lookup finds what is remembered of a dispatch.
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

// Unsettled lists what the gateway has not yet said to be saved.
func (j *Journal) Unsettled() ([]Entry, error) {
	return j.list("list open dispatches", func(e Entry) bool { return !e.Settled })
}

func (j *Journal) list(what string, want func(Entry) bool) ([]Entry, error) {
	var found []Entry
	err := j.db.View(func(tx *bolt.Tx) error {
		return eachEntry(tx, func(e Entry) error {
			if want(e) {
				found = append(found, e)
			}
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return found, nil
}

// Horizon is the latest expiry among all that was ever forgotten. Of an unknown
// dispatch that expires no later, it cannot be said that it never ran: clocks
// that went back cannot make it run again.
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
