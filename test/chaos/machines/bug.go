package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

// bug is a fault that an agent could have. It shows that the checks would find it. It takes effect
// when a machine starts again and its journal contains an interrupted run.
type bug string

const (
	// deny deletes from the journal that the run began. The agent reports its journal truthfully,
	// but the report is wrong.
	deny bug = "deny"
	// forget removes the whole journal. The gateway notices the loss and reports the run as
	// Unknown.
	forget bug = "forget"
	// rerun runs the dispatch again, as a system with at-least-once delivery does.
	rerun bug = "rerun"
)

func (b *bug) set(name string) error {
	*b = bug(name)
	if !slices.Contains([]bug{deny, forget, rerun}, *b) {
		return errors.New("unknown bug: give deny, forget or rerun")
	}
	return nil
}

// apply applies the bug before the agent starts.
func (b bug) apply(ctx context.Context, path string, recorder *witness.Recorder) error {
	if _, err := os.Stat(path); b == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if b == forget {
		return os.Remove(path)
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	running, err := runningEntries(db)
	for _, entry := range running {
		if b == deny {
			entry.State, entry.StartedTime = journal.Accepted, time.Time{}
			err = errors.Join(err, putEntry(db, entry))
			continue
		}
		_, runErr := recorder.Run(ctx, capability.Request{DispatchUID: entry.Dispatch.UID, Input: []byte(`{"sleepMilliseconds":0}`)})
		err = errors.Join(err, runErr)
	}
	return errors.Join(err, db.Close())
}

// runningEntries lists the runs that the journal records as running.
func runningEntries(db *bolt.DB) (running []journal.Entry, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		dispatches := tx.Bucket([]byte("dispatches"))
		if dispatches == nil {
			return nil // killed before the bucket was created
		}
		return dispatches.ForEach(func(_, text []byte) error {
			var entry journal.Entry
			if err := json.Unmarshal(text, &entry); err != nil {
				return fmt.Errorf("read an entry of the journal: %w", err)
			}
			if entry.State == journal.Running {
				running = append(running, entry)
			}
			return nil
		})
	})
	return running, err
}

func putEntry(db *bolt.DB, entry journal.Entry) error {
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("dispatches")).Put([]byte(entry.Dispatch.UID), text)
	})
}
