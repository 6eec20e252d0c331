package mediation

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/mooring-dev/mooring/api/errorcode"
)

// ApprovalQueue is the policy of a machine with a person at it. It keeps the open questions until
// one of the machine's users answers.
type ApprovalQueue struct {
	// Rules reads the policy file. The queue calls it for every run, so a change applies at once.
	Rules func() (*Rules, error)
	// User is the local user who is asked.
	User string
	Now  func() time.Time
	Log  *slog.Logger

	mu               sync.Mutex
	pendingQuestions []*pendingQuestion
	changed          chan struct{}
}

// pendingQuestion is a question without an answer.
type pendingQuestion struct {
	Question
	store    AnswerStore
	answered chan error // receives nil or *Denied, once
}

// AllowsWithoutQuestion reports whether the rules allow the run without a question.
func (d *ApprovalQueue) AllowsWithoutQuestion(q Question) bool {
	rules, err := d.Rules()
	return err == nil && rules.evaluate(q) == Allow
}

// Decide applies the rules and, if they say ask, waits for the answer of a person.
func (d *ApprovalQueue) Decide(ctx context.Context, q Question, record AnswerStore) error {
	rules, err := d.Rules()
	if err != nil {
		d.Log.Error("the mediation policy cannot be used; every run is refused", "error", err)
		return &Denied{errorcode.MediationDenied, "the mediation policy of this machine cannot be used; the log of its agent has the reason"}
	}
	resumed := !q.Since.IsZero()
	switch verdict := rules.evaluate(q); {
	case verdict == Deny:
		return &Denied{errorcode.MediationDenied, "the mediation policy of this machine refuses it"}
	case verdict == Allow && !resumed: // a question that was asked before is for a person to answer
		return nil
	}
	timeout := rules.timeout
	if resumed {
		timeout = q.Since.Add(rules.timeout).Sub(d.Now())
	} else {
		q.Since = d.Now().UTC().Truncate(time.Second)
	}
	if deadline := q.Since.Add(rules.timeout); q.Until.IsZero() || deadline.Before(q.Until) {
		q.Until = deadline
	}
	return d.waitForAnswer(ctx, timeout, q, record)
}

func (d *ApprovalQueue) waitForAnswer(ctx context.Context, timeout time.Duration, q Question, record AnswerStore) error {
	if err := record.StoreQuestion(d.User, q.Since); err != nil {
		return err
	}
	p := &pendingQuestion{Question: q, store: record, answered: make(chan error, 1)}
	d.add(p)
	defer d.remove(p)
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-p.answered:
		return err
	case <-timer.C:
		if err := d.applyAnswer(p, false, ""); err != nil && !errors.Is(err, ErrNoQuestion) {
			return err
		}
		return <-p.answered // the timeout's answer, or one that came at the same moment
	case <-ctx.Done():
		if !d.remove(p) {
			return <-p.answered // answered at the same moment
		}
		return context.Cause(ctx)
	}
}

// Answer answers the question with that UID, or with that name if only one question has it. When
// Answer returns nil, the answer is on disk and takes effect.
func (d *ApprovalQueue) Answer(name string, allowed bool, by string) (Question, error) {
	p, err := d.findQuestion(name)
	if err != nil {
		return Question{}, err
	}
	return p.Question, d.applyAnswer(p, allowed, by)
}

func (d *ApprovalQueue) findQuestion(name string) (*pendingQuestion, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found *pendingQuestion
	for _, p := range d.pendingQuestions {
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

// applyAnswer records the first answer to a question and then passes it to the waiting run.
func (d *ApprovalQueue) applyAnswer(p *pendingQuestion, allowed bool, by string) error {
	if !d.remove(p) {
		return ErrNoQuestion
	}
	if err := p.store.StoreAnswer(allowed, by); err != nil {
		p.answered <- err
		return err
	}
	d.Log.Info("local mediation answered", "dispatch", p.UID, "capability", p.Capability, "allowed", allowed, "by", by)
	switch {
	case allowed:
		p.answered <- nil
	case by == "":
		p.answered <- &Denied{errorcode.MediationTimedOut, "no person at the machine answered in time"}
	default:
		p.answered <- &Denied{errorcode.MediationDenied, "the person at the machine denied the run"}
	}
	return nil
}

// Questions lists the open questions, oldest first. changed is closed when the list is out of date.
func (d *ApprovalQueue) Questions() (open []Question, changed <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range d.pendingQuestions {
		open = append(open, p.Question)
	}
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return open, d.changed
}

func (d *ApprovalQueue) add(p *pendingQuestion) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pendingQuestions = append(d.pendingQuestions, p)
	d.notifyWatchers()
}

// remove removes a question and reports whether it was still open.
func (d *ApprovalQueue) remove(p *pendingQuestion) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := slices.Index(d.pendingQuestions, p)
	if at < 0 {
		return false
	}
	d.pendingQuestions = slices.Delete(d.pendingQuestions, at, at+1)
	d.notifyWatchers()
	return true
}

func (d *ApprovalQueue) notifyWatchers() {
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}
