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

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

// bug is a mistake that an agent could have, for showing that it would be noticed. It bites when a
// machine starts again and its journal holds a run that was interrupted.
type bug string

const (
	// deny forgets that the run began: the agent says truthfully what its journal says, and is wrong.
	deny bug = "deny"
	// forget loses the whole journal. The gateway notices that, and calls the run Unknown.
	forget bug = "forget"
	// rerun runs it again, as a system does that promises "at least once".
	rerun bug = "rerun"
)

func (b *bug) set(name string) error {
	*b = bug(name)
	if !slices.Contains([]bug{deny, forget, rerun}, *b) {
		return errors.New("there is no such bug")
	}
	return nil
}

// bite does what the bug does, before the agent starts.
func (b bug) bite(ctx context.Context, path string, saw *witness.Witness) error {
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
	running, err := interrupted(db)
	for _, entry := range running {
		if b == deny {
			entry.State, entry.StartedTime = journal.Accepted, time.Time{}
			err = errors.Join(err, replace(db, entry))
			continue
		}
		_, again := saw.Run(ctx, capability.Request{DispatchUID: entry.Dispatch.UID, Input: []byte(`{"sleepMilliseconds":0}`)})
		err = errors.Join(err, again)
	}
	return errors.Join(err, db.Close())
}

// interrupted lists the runs that a journal says are under way.
func interrupted(db *bolt.DB) (running []journal.Entry, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		dispatches := tx.Bucket([]byte("dispatches"))
		if dispatches == nil {
			return nil // killed before it was made
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

func replace(db *bolt.DB, entry journal.Entry) error {
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("dispatches")).Put([]byte(entry.Dispatch.UID), text)
	})
}
