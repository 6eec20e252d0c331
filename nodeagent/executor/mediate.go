package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
	"github.com/mooring-dev/mooring/nodeagent/mediation"
)

// stillAsked marks a question that is still open when the agent stops: it has no outcome.
var stillAsked = new(journal.Outcome)

// askAgain asks a person again about a dispatch whose question an earlier process left open, or
// returns its outcome. The run uses the target of the capability's present definition, and the
// person sees that target.
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
	r := x.begin(offer, target, c.Warning(target))
	if r == nil {
		return nil
	}
	r.asked = m.Since
	r.clearance.set(StageHold) // the question waits until a gateway clears it
	x.Log.Info("a person is asked again after a restart", "dispatch", entry.Dispatch.UID, "capability", entry.Capability)
	go x.run(r, c)
	return nil
}

// ask asks the person, and asks again each time that the gateway held and released the run. A
// question of an earlier process waits for a session. Meanwhile the gateway may have ended the
// dispatch, or have detected that this journal is an old copy.
func (x *Executor) ask(ctx context.Context, r *run, c *capability.Entry, steps *record) error {
	for again := false; ; again = true {
		if err := x.awaitStage(ctx, r, StageAsk); err != nil {
			return err
		}
		if again && steps.asked {
			r.asked = x.Now().UTC().Truncate(time.Second) // restarts the full time for an answer
		}
		held, cancel := r.unlessHeld(ctx)
		err := x.Policy.Decide(held, question(r, c), steps)
		cancel()
		if !errors.Is(err, errHeld) {
			return err
		}
	}
}

// mediate asks the local policy and, after the person allowed the run, waits for the gateway. An
// outcome means that there will be no run. It holds no slot, because a person may think for a
// while.
func (x *Executor) mediate(r *run, c *capability.Entry) *journal.Outcome {
	ctx, cancel := context.WithTimeoutCause(r.ctx, r.Expires.Sub(x.Now()), errExpired)
	defer cancel()
	steps := &record{x: x, r: r, asked: !r.asked.IsZero()}
	err := x.ask(ctx, r, c, steps)
	allowed := err == nil && steps.asked
	if allowed {
		x.tell(func(s Sink) { s.Allowed(r.Dispatch) })
		err = x.awaitStage(ctx, r, StageStart)
	}
	denied := (*mediation.Denied)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &denied):
		return x.unstarted(journal.Rejected, denied.Code, denied.Message)
	case errors.Is(context.Cause(ctx), errExpired):
		return x.expired()
	case steps.asked && !allowed && errors.Is(context.Cause(ctx), errStopping):
		return stillAsked
	case ctx.Err() != nil:
		return x.interrupted(ctx)
	default:
		x.Log.Error("local mediation failed; it is not run", "dispatch", r.Dispatch.UID, "error", err)
		return x.unstarted(journal.Failed, codeInternal, "local mediation is not possible now")
	}
}

// question returns the question to the local policy about a run.
func question(r *run, c *capability.Entry) mediation.Question {
	return mediation.Question{
		Namespace: r.Dispatch.Namespace, Name: r.Dispatch.Name, UID: r.Dispatch.UID,
		Capability: r.Capability, Description: c.Description(), Target: r.target, Warning: r.warning, RequestedBy: r.RequestedBy,
		Since: r.asked, Until: r.Expires, Needed: c.Mediation() == capability.Local,
	}
}

// record journals the steps of a mediation. A slow session does not delay the person's answer,
// because mediate reports it.
type record struct {
	x     *Executor
	r     *run
	asked bool
}

func (m *record) Asked(user string, since time.Time) error {
	if m.asked {
		return nil // an earlier process journaled it, and every session reports it
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
	m.r.clearance.forgetStart()
	return m.x.Journal.Answer(m.r.Dispatch.UID, answer, by, m.x.Now())
}
