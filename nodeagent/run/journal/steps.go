package journal

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// retention is the time for which a settled dispatch stays in the journal after its expiry.
const retention = time.Hour

// Accept stores a new dispatch that has not started. It returns ErrFull for a full journal and
// ErrWrongState for a UID that the journal has already.
func (j *Journal) Accept(e Entry) error {
	e.State = Accepted
	return j.insertEntry(e)
}

// AcceptAndStart stores a new dispatch and its start in one write; the caller calls the capability
// right after AcceptAndStart returns. It returns the errors of Accept.
func (j *Journal) AcceptAndStart(e Entry, now time.Time) error {
	e.State, e.StartedTime = Running, now
	return j.insertEntry(e)
}

// StoreRejection stores a new dispatch that will not run, with its outcome.
func (j *Journal) StoreRejection(e Entry, outcome Outcome) error {
	e.State, e.Outcome = Finished, &outcome
	return j.insertEntry(e)
}

func (j *Journal) insertEntry(e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if u, l := j.usage, j.limits; u.entries >= l.Entries || u.unsettled >= l.Unsettled || u.payloadBytes >= l.PayloadBytes {
		return fmt.Errorf("store dispatch: %w: %d dispatches, %d of them open", ErrFull, u.entries, u.unsettled)
	}
	return j.commit("store dispatch", func(tx *bolt.Tx) error {
		if known, ok, err := getEntry(tx, e.Dispatch.UID); err != nil {
			return err
		} else if ok {
			return fmt.Errorf("%w: %s", ErrWrongState, known.State)
		}
		return putEntry(tx, e)
	}, func() { j.usage.add(e, 1) })
}

// StoreQuestion stores the question to a person, which comes before the start of the dispatch.
func (j *Journal) StoreQuestion(uid string, m Mediation) error {
	return j.updateEntry("store question", uid, func(e *Entry) error {
		if e.State != Accepted || e.Mediation != nil {
			return fmt.Errorf("%w: %s, or asked before", ErrWrongState, e.State)
		}
		e.Mediation = &m
		return nil
	})
}

// StoreAnswer stores the answer to the question. A second answer returns ErrWrongState.
func (j *Journal) StoreAnswer(uid string, answer Answer, by string, now time.Time) error {
	return j.updateEntry("store answer", uid, func(e *Entry) error {
		if e.State != Accepted || e.Mediation == nil || e.Mediation.Answer != "" {
			return fmt.Errorf("%w: %s, not asked, or answered before", ErrWrongState, e.State)
		}
		answered := *e.Mediation
		answered.Answer, answered.By, answered.Time, answered.PendingOffer = answer, by, now, nil
		e.Mediation = &answered
		return nil
	})
}

// Start stores the start of a run; the caller calls the capability right after Start returns.
func (j *Journal) Start(uid string, now time.Time) error {
	return j.updateEntry("start dispatch", uid, func(e *Entry) error {
		if e.State != Accepted || (e.Mediation != nil && e.Mediation.Answer != Allowed) {
			return fmt.Errorf("%w: %s, or not allowed", ErrWrongState, e.State)
		}
		e.State, e.StartedTime = Running, now
		return nil
	})
}

// Finish stores the outcome. The caller may send the result after that.
func (j *Journal) Finish(uid string, outcome Outcome) error {
	return j.updateEntry("finish dispatch", uid, func(e *Entry) error {
		if e.State == Finished {
			return fmt.Errorf("%w: %s", ErrWrongState, e.State)
		}
		e.State, e.Outcome = Finished, &outcome
		if e.Mediation != nil && e.Mediation.PendingOffer != nil {
			ended := *e.Mediation
			ended.PendingOffer = nil
			e.Mediation = &ended
		}
		return nil
	})
}

// ReplaceOutcome stores another outcome for a dispatch whose first outcome every gateway rejects.
func (j *Journal) ReplaceOutcome(uid string, outcome Outcome) error {
	return j.updateEntry("replace outcome", uid, func(e *Entry) error {
		if e.State != Finished || e.Settled {
			return fmt.Errorf("%w: %s, settled %t", ErrWrongState, e.State, e.Settled)
		}
		e.Outcome = &outcome
		return nil
	})
}

// Settle marks the outcome as saved by the gateway and drops the output.
func (j *Journal) Settle(uid string) error {
	return j.updateEntry("settle dispatch", uid, func(e *Entry) error {
		if e.State != Finished {
			return fmt.Errorf("%w: %s", ErrWrongState, e.State)
		}
		e.Settled = true
		e.Outcome.Output = nil
		return nil
	})
}

// Prune deletes settled dispatches an hour after their expiry; now is the gateway's time. Each
// deleted entry moves the horizon. Prune reads nothing while no entry is due.
func (j *Journal) Prune(now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if first := j.usage.earliestExpiry; first.IsZero() || !prunable(first, now) {
		return nil
	}
	entries, nextExpiry, err := j.listPrunable(now)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		j.usage.earliestExpiry = nextExpiry
		return nil
	}
	return j.commit("prune journal", func(tx *bolt.Tx) error {
		horizon := readHorizon(tx)
		for _, e := range entries {
			if err := tx.Bucket(dispatchesBucket).Delete([]byte(e.Dispatch.UID)); err != nil {
				return err
			}
			if e.Expires.After(horizon) {
				horizon = e.Expires
			}
		}
		return writeHorizon(tx, horizon)
	}, func() {
		for _, e := range entries {
			j.usage.add(e, -1)
		}
		j.usage.earliestExpiry = nextExpiry
	})
}

func prunable(expires, now time.Time) bool { return now.After(expires.Add(retention)) }

// listPrunable lists the entries that are due for deletion now. It also returns the first expiry of
// the settled entries that stay.
func (j *Journal) listPrunable(now time.Time) (entries []Entry, nextExpiry time.Time, err error) {
	entries, err = j.listEntries("list settled dispatches", func(e Entry) bool {
		if e.Settled && !prunable(e.Expires, now) && (nextExpiry.IsZero() || e.Expires.Before(nextExpiry)) {
			nextExpiry = e.Expires
		}
		return e.Settled && prunable(e.Expires, now)
	})
	return entries, nextExpiry, err
}

// updateEntry edits one entry in place.
func (j *Journal) updateEntry(operation, uid string, edit func(*Entry) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var before, after Entry
	return j.commit(operation, func(tx *bolt.Tx) error {
		entry, known, err := getEntry(tx, uid)
		if err != nil {
			return err
		}
		if !known {
			return ErrNotFound
		}
		before = entry
		if entry.Outcome != nil {
			copied := *entry.Outcome
			entry.Outcome = &copied
		}
		if err := edit(&entry); err != nil {
			return err
		}
		after = entry
		return putEntry(tx, entry)
	}, func() {
		j.usage.add(before, -1)
		j.usage.add(after, 1)
	})
}

// commit commits the update and counts it afterwards, so usage never runs ahead of the disk.
func (j *Journal) commit(operation string, update func(*bolt.Tx) error, onCommit func()) error {
	if err := j.db.Update(update); err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	onCommit()
	return nil
}

func readHorizon(tx *bolt.Tx) time.Time {
	var horizon time.Time
	if content := tx.Bucket(metaBucket).Get(horizonKey); content != nil {
		// An unreadable time is no horizon; Open checks the file as a whole.
		_ = horizon.UnmarshalBinary(content)
	}
	return horizon
}

func writeHorizon(tx *bolt.Tx, horizon time.Time) error {
	content, err := horizon.MarshalBinary()
	if err != nil {
		return err
	}
	return tx.Bucket(metaBucket).Put(horizonKey, content)
}
