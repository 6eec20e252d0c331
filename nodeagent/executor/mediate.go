package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/nodeagent/mediation"
)

// stillAsked is the outcome of a question that the agent's stop left open: none.
var stillAsked = new(journal.Outcome)

// askAgain puts a question again that an earlier process left open, or tells the outcome. The
// answer runs what the capability of today makes of the input, which is what the person sees.
func (x *Executor) askAgain(entry journal.Entry) *journal.Outcome {
	m := entry.Mediation
	if entry.State != journal.Accepted || m == nil || m.Answer != "" || m.Held == nil {
		return x.interruptedBefore(entry)
	}
	offer := Offer{
		Dispatch: entry.Dispatch, Capability: entry.Capability, Expires: entry.Expires,
		Input: m.Held.Input, Timeout: m.Held.Timeout, MaxOutputBytes: m.Held.MaxOutputBytes, RequestedBy: m.Held.RequestedBy,
	}
	c, target, refusal := x.check(offer)
	if refusal != nil {
		return refusal
	}
	r := x.begin(offer, target)
	if r == nil {
		return nil
	}
	r.asked = m.Since
	x.Log.Info("a person is asked again after a restart", "dispatch", entry.Dispatch.UID, "capability", entry.Capability)
	go x.run(r, c)
	return nil
}

// heard waits, with a question of an earlier process, for the first session: a gateway that
// ended the dispatch meanwhile, or knows that this journal is an old copy, says so in it.
func (x *Executor) heard(ctx context.Context, r *run) error {
	if r.asked.IsZero() {
		return nil
	}
	select {
	case <-x.attached:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mediate asks the local policy; an outcome means that there will be no run. It holds no
// slot: a person may think for a while.
func (x *Executor) mediate(r *run, c *capability.Entry) *journal.Outcome {
	ctx, cancel := context.WithTimeoutCause(r.ctx, r.Expires.Sub(x.Now()), errExpired)
	defer cancel()
	steps := &record{x: x, r: r, asked: !r.asked.IsZero()}
	err := x.heard(ctx, r)
	if err == nil {
		err = x.Policy.Decide(ctx, question(r, c), steps)
	}
	denied := (*mediation.Denied)(nil)
	switch {
	case err == nil:
		if steps.asked {
			x.tell(func(s Sink) { s.Allowed(r.Dispatch) })
		}
		return nil
	case errors.As(err, &denied):
		return x.unstarted(journal.Rejected, denied.Code, denied.Message)
	case errors.Is(context.Cause(ctx), errExpired):
		return x.expired()
	case steps.asked && errors.Is(context.Cause(ctx), errStopping):
		return stillAsked
	case ctx.Err() != nil:
		return x.interrupted(ctx)
	default:
		x.Log.Error("local mediation failed; it is not run", "dispatch", r.Dispatch.UID, "error", err)
		return x.unstarted(journal.Failed, codeInternal, "local mediation is not possible now")
	}
}

// question is what the local policy is asked about a run.
func question(r *run, c *capability.Entry) mediation.Question {
	return mediation.Question{
		Namespace: r.Dispatch.Namespace, Name: r.Dispatch.Name, UID: r.Dispatch.UID,
		Capability: r.Capability, Description: c.Description(), Target: r.target, RequestedBy: r.RequestedBy,
		Since: r.asked, Until: r.Expires, Needed: c.Mediation() == capability.Local,
	}
}

// record journals the steps of a mediation. The person's answer is not held up by a slow
// session: mediate tells it.
type record struct {
	x     *Executor
	r     *run
	asked bool
}

func (m *record) Asked(user string, since time.Time) error {
	if m.asked {
		return nil // by an earlier process: it is journaled, and every session is told
	}
	held := &journal.Held{Input: m.r.Input, Timeout: m.r.Timeout, MaxOutputBytes: m.r.MaxOutputBytes, RequestedBy: m.r.RequestedBy}
	if err := m.x.Journal.Ask(m.r.Dispatch.UID, journal.Mediation{AskedUser: user, Since: since, Held: held}); err != nil {
		return err
	}
	m.asked = true
	m.x.tell(func(s Sink) { s.Asked(m.r.Dispatch, user, since) })
	return nil
}

func (m *record) Answered(allowed bool, by string) error {
	answer := journal.Unanswered
	switch {
	case allowed:
		answer = journal.Allowed
	case by != "":
		answer = journal.Denied
	}
	return m.x.Journal.Answer(m.r.Dispatch.UID, answer, by, m.x.Now())
}
