// Package publisher decides when the facts of a session are written to Node.status. It is pure: its
// callers pass the time, compare the facts and make the write.
package publisher

import "time"

// Publisher decides when one session writes: if the facts differ from Node.status, one write at a
// time, within the budget of the Node. It is not safe for concurrent use.
type Publisher struct {
	budget *Budget
	// changed is true if the facts may differ from Node.status. writing is true while a write is in
	// flight. refresh is true if the time of the last heartbeat must be written even if no other
	// field changed.
	changed, writing, refresh bool
}

// New returns the Publisher of a session of the Node with this budget.
func New(budget *Budget) *Publisher { return &Publisher{budget: budget} }

// MarkChanged records that the facts may differ from Node.status.
func (p *Publisher) MarkChanged() { p.changed = true }

// MarkPublished records that Node.status contains the facts.
func (p *Publisher) MarkPublished() { p.changed = false }

// Pending reports whether the facts may differ from Node.status.
func (p *Publisher) Pending() bool { return p.changed }

// RequestRefresh makes the next write include the time of the last heartbeat even if no other field
// changed.
func (p *Publisher) RequestRefresh() { p.changed, p.refresh = true, true }

// Begin reports whether the facts must be written now, and counts that write. If so, the caller
// writes them and then calls Written, Failed or Conflicted. differs compares the facts with
// Node.status; it is called only if the budget permits a write. dueAt is the time at which the
// caller must call Begin again, or the zero time.
func (p *Publisher) Begin(now time.Time, differs func() bool) (write bool, dueAt time.Time) {
	if !p.changed || p.writing {
		return false, time.Time{}
	}
	if due := p.budget.PublishDue(); now.Before(due) {
		return false, due
	}
	p.changed = false
	if !differs() && !p.refresh {
		return false, time.Time{}
	}
	p.budget.Count(now)
	p.writing, p.refresh = true, false
	return true, time.Time{}
}

// Written ends a write that succeeded or that nobody needs any more.
func (p *Publisher) Written() { p.writing = false }

// Failed ends a write that must be repeated.
func (p *Publisher) Failed() { p.writing, p.changed = false, true }

// Conflicted ends a write that changed nothing, because Node.status had changed.
func (p *Publisher) Conflicted() {
	p.Failed()
	p.budget.Refund()
}
