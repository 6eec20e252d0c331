package journal

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// retention is how long after its expiry a settled dispatch is remembered.
const retention = time.Hour

// Accept remembers a new dispatch, not started. It errs with ErrFull, and with
// ErrState for a UID that is known already.
func (j *Journal) Accept(e Entry) error {
	e.State = Accepted
	return j.insert(e)
}

// Begin remembers a new dispatch and notes, in the same write, that its capability is called right
// after this returns. It errs like Accept.
func (j *Journal) Begin(e Entry, now time.Time) error {
	e.State, e.StartedTime = Running, now
	return j.insert(e)
}

// Refuse remembers a new dispatch that will not run, with its outcome.
func (j *Journal) Refuse(e Entry, outcome Outcome) error {
	e.State, e.Outcome = Finished, &outcome
	return j.insert(e)
}

func (j *Journal) insert(e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if u, l := j.usage, j.limits; u.entries >= l.Entries || u.unsettled >= l.Unsettled || u.payloadBytes >= l.PayloadBytes {
		return fmt.Errorf("remember dispatch: %w: %d dispatches, %d of them open", ErrFull, u.entries, u.unsettled)
	}
	return j.write("remember dispatch", func(tx *bolt.Tx) error {
		if known, ok, err := getEntry(tx, e.Dispatch.UID); err != nil {
			return err
		} else if ok {
			return fmt.Errorf("%w: %s", ErrState, known.State)
		}
		return putEntry(tx, e)
	}, func() { j.usage.add(e, 1) })
}

// Ask notes that a person is asked before the dispatch starts.
func (j *Journal) Ask(uid string, m Mediation) error {
	return j.change("note question", uid, func(e *Entry) error {
		if e.State != Accepted || e.Mediation != nil {
			return fmt.Errorf("%w: %s, or asked before", ErrState, e.State)
		}
		e.Mediation = &m
		return nil
	})
}

// Answer notes what came of the question; the first answer stands.
func (j *Journal) Answer(uid string, answer Answer, by string, now time.Time) error {
	return j.change("note answer", uid, func(e *Entry) error {
		if e.State != Accepted || e.Mediation == nil || e.Mediation.Answer != "" {
			return fmt.Errorf("%w: %s, not asked, or answered before", ErrState, e.State)
		}
		answered := *e.Mediation
		answered.Answer, answered.By, answered.Time, answered.Held = answer, by, now, nil
		e.Mediation = &answered
		return nil
	})
}

// Start notes, durably, that the capability is called right after this returns.
func (j *Journal) Start(uid string, now time.Time) error {
	return j.change("start dispatch", uid, func(e *Entry) error {
		if e.State != Accepted || (e.Mediation != nil && e.Mediation.Answer != Allowed) {
			return fmt.Errorf("%w: %s, or not allowed", ErrState, e.State)
		}
		e.State, e.StartedTime = Running, now
		return nil
	})
}

// Finish notes the outcome; after that the result may be sent.
func (j *Journal) Finish(uid string, outcome Outcome) error {
	return j.change("finish dispatch", uid, func(e *Entry) error {
		if e.State == Finished {
			return fmt.Errorf("%w: %s", ErrState, e.State)
		}
		e.State, e.Outcome = Finished, &outcome
		if e.Mediation != nil && e.Mediation.Held != nil {
			ended := *e.Mediation
			ended.Held = nil
			e.Mediation = &ended
		}
		return nil
	})
}

// Replace notes another outcome of a dispatch whose first one no gateway takes.
func (j *Journal) Replace(uid string, outcome Outcome) error {
	return j.change("replace outcome", uid, func(e *Entry) error {
		if e.State != Finished || e.Settled {
			return fmt.Errorf("%w: %s, settled %t", ErrState, e.State, e.Settled)
		}
		e.Outcome = &outcome
		return nil
	})
}

// Settle notes that the gateway saved the outcome, and drops the output.
func (j *Journal) Settle(uid string) error {
	return j.change("settle dispatch", uid, func(e *Entry) error {
		if e.State != Finished {
			return fmt.Errorf("%w: %s", ErrState, e.State)
		}
		e.Settled = true
		e.Outcome.Output = nil
		return nil
	})
}

// Prune forgets settled dispatches an hour after they expired; now is the
// gateway's time. What it forgets moves the horizon. It reads nothing while nothing is due.
func (j *Journal) Prune(now time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if first := j.usage.first; first.IsZero() || !forgettable(first, now) {
		return nil
	}
	gone, next, err := j.forgettable(now)
	if err != nil {
		return err
	}
	if len(gone) == 0 {
		j.usage.first = next
		return nil
	}
	return j.write("prune journal", func(tx *bolt.Tx) error {
		horizon := readHorizon(tx)
		for _, e := range gone {
			if err := tx.Bucket(dispatchesBucket).Delete([]byte(e.Dispatch.UID)); err != nil {
				return err
			}
			if e.Expires.After(horizon) {
				horizon = e.Expires
			}
		}
		return writeHorizon(tx, horizon)
	}, func() {
		for _, e := range gone {
			j.usage.add(e, -1)
		}
		j.usage.first = next
	})
}

func forgettable(expires, now time.Time) bool { return now.After(expires.Add(retention)) }

// forgettable lists what can be forgotten now, and tells when the first of the other settled ones
// expires.
func (j *Journal) forgettable(now time.Time) (gone []Entry, next time.Time, err error) {
	gone, err = j.list("list settled dispatches", func(e Entry) bool {
		if e.Settled && !forgettable(e.Expires, now) && (next.IsZero() || e.Expires.Before(next)) {
			next = e.Expires
		}
		return e.Settled && forgettable(e.Expires, now)
	})
	return gone, next, err
}

// change edits one entry in place.
func (j *Journal) change(what, uid string, edit func(*Entry) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var before, after Entry
	return j.write(what, func(tx *bolt.Tx) error {
		entry, known, err := getEntry(tx, uid)
		if err != nil {
			return err
		}
		if !known {
			return ErrUnknown
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

// write commits, then counts: usage never runs ahead of the disk.
func (j *Journal) write(what string, update func(*bolt.Tx) error, committed func()) error {
	if err := j.db.Update(update); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	committed()
	return nil
}

func readHorizon(tx *bolt.Tx) time.Time {
	var horizon time.Time
	if content := tx.Bucket(metaBucket).Get(horizonKey); content != nil {
		// A time that cannot be read is no horizon; Open checks the file as a whole.
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
