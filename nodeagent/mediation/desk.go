package mediation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Desk is the policy of a machine with a person at it. It keeps the open questions until one of
// the machine's users answers.
type Desk struct {
	// Rules reads the policy file. Desk calls it for every run, so a change applies at once.
	Rules func() (*Rules, error)
	// User is the local user who answers the questions.
	User string
	Now  func() time.Time
	Log  *slog.Logger

	mu      sync.Mutex
	open    []*pending
	changed chan struct{}
}

// pending is a question without an answer.
type pending struct {
	Question
	record   Record
	answered chan error // receives nil or *Denied, once
}

// Allows reports whether the rules allow the run without a question.
func (d *Desk) Allows(q Question) bool {
	rules, err := d.Rules()
	return err == nil && rules.judge(q) == Allow
}

// Decide applies the rules and, if they say ask, waits for the answer of a person.
func (d *Desk) Decide(ctx context.Context, q Question, record Record) error {
	rules, err := d.Rules()
	if err != nil {
		d.Log.Error("the mediation policy cannot be used; every run is refused", "error", err)
		return &Denied{CodeDenied, "the mediation policy of this machine cannot be used; its agent's log says why"}
	}
	again := !q.Since.IsZero()
	switch verdict := rules.judge(q); {
	case verdict == Deny:
		return &Denied{CodeDenied, "the mediation policy of this machine refuses it"}
	case verdict == Allow && !again: // a question that was asked before is for a person to answer
		return nil
	}
	patience := rules.timeout
	if again {
		patience = q.Since.Add(rules.timeout).Sub(d.Now())
	} else {
		q.Since = d.Now().UTC().Truncate(time.Second)
	}
	if last := q.Since.Add(rules.timeout); q.Until.IsZero() || last.Before(q.Until) {
		q.Until = last
	}
	return d.ask(ctx, patience, q, record)
}

func (d *Desk) ask(ctx context.Context, patience time.Duration, q Question, record Record) error {
	if err := record.Asked(d.User, q.Since); err != nil {
		return err
	}
	p := &pending{Question: q, record: record, answered: make(chan error, 1)}
	d.put(p)
	defer d.take(p)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-p.answered:
		return err
	case <-timer.C:
		if err := d.resolve(p, false, ""); err != nil && !errors.Is(err, ErrNoQuestion) {
			return err
		}
		return <-p.answered // the timeout's answer, or one that came at the same moment
	case <-ctx.Done():
		if !d.take(p) {
			return <-p.answered // answered at the same moment
		}
		return context.Cause(ctx)
	}
}

// Answer answers the question with that UID, or with that name if only one question has it. When
// Answer returns nil, the answer is on disk and takes effect.
func (d *Desk) Answer(name string, allowed bool, by string) (Question, error) {
	p, err := d.find(name)
	if err != nil {
		return Question{}, err
	}
	return p.Question, d.resolve(p, allowed, by)
}

func (d *Desk) find(name string) (*pending, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found *pending
	for _, p := range d.open {
		switch {
		case p.UID == name:
			return p, nil
		case p.Name == name && found != nil:
			return nil, ErrAmbiguous
		case p.Name == name:
			found = p
		}
	}
	if found == nil {
		return nil, ErrNoQuestion
	}
	return found, nil
}

// resolve records the first answer to a question and then passes it to the waiting run.
func (d *Desk) resolve(p *pending, allowed bool, by string) error {
	if !d.take(p) {
		return ErrNoQuestion
	}
	if err := p.record.Answered(allowed, by); err != nil {
		p.answered <- err
		return err
	}
	d.Log.Info("local mediation answered", "dispatch", p.UID, "capability", p.Capability, "allowed", allowed, "by", by)
	switch {
	case allowed:
		p.answered <- nil
	case by == "":
		p.answered <- &Denied{CodeTimedOut, "nobody at the machine answered in time"}
	default:
		p.answered <- &Denied{CodeDenied, "the person at the machine said no"}
	}
	return nil
}

// Questions lists the open questions, oldest first. changed is closed when the list is out of date.
func (d *Desk) Questions() (open []Question, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.open {
		open = append(open, p.Question)
	}
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return open, d.changed
}

func (d *Desk) put(p *pending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = append(d.open, p)
	d.announce()
}

// take removes a question and reports whether it was still open.
func (d *Desk) take(p *pending) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.Index(d.open, p)
	if at < 0 {
		return false
	}
	d.open = slices.Delete(d.open, at, at+1)
	d.announce()
	return true
}

func (d *Desk) announce() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}
