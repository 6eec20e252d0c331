package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/api/errorcode"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
	"github.com/mooring-dev/mooring/nodeagent/run/mediation"
)

// questionOpen marks a question that is still open when the agent stops: it has no outcome.
var questionOpen = new(journal.Outcome)

// resumeQuestion asks a person again about a dispatch whose question an earlier process left open,
// or returns its outcome. The run uses the target of the capability's present definition, and the
// person sees that target.
func (x *Executor) resumeQuestion(entry journal.Entry) *journal.Outcome {
	m := entry.Mediation
	if entry.State != journal.Accepted || m == nil || m.Answer != "" || m.PendingOffer == nil {
		return x.restartOutcome(entry)
	}
	offer := Offer{
		Dispatch: entry.Dispatch, Capability: entry.Capability, Expires: entry.Expires,
		Input: m.PendingOffer.Input, Timeout: m.PendingOffer.Timeout, MaxOutputBytes: m.PendingOffer.MaxOutputBytes, RequestedBy: m.PendingOffer.RequestedBy,
	}
	c, target, rejection := x.validateOffer(offer)
	if rejection != nil {
		return rejection
	}
	r := x.registerRun(offer, target, c.Warning(target))
	if r == nil {
		return nil
	}
	r.askedTime = m.Since
	r.clearance.set(StageHold) // the question waits until a gateway clears it
	x.Log.Info("a person is asked again after a restart", "dispatch", entry.Dispatch.UID, "capability", entry.Capability)
	go x.runDispatch(r, c)
	return nil
}

// askPerson asks the person, and asks again each time that the gateway held and released the run. A
// question of an earlier process waits for a session. Meanwhile the gateway may have ended the
// dispatch, or have detected that this journal is an old copy.
func (x *Executor) askPerson(ctx context.Context, r *run, c *capability.Entry, steps *mediationJournal) error {
	for repeated := false; ; repeated = true {
		if err := x.awaitStage(ctx, r, StageAsk); err != nil {
			return err
		}
		if repeated && steps.asked {
			r.askedTime = x.Now().UTC().Truncate(time.Second) // restarts the full time for an answer
		}
		heldCtx, cancel := r.contextUntilHeld(ctx)
		err := x.Policy.Decide(heldCtx, newQuestion(r, c), steps)
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
	steps := &mediationJournal{x: x, r: r, asked: !r.askedTime.IsZero()}
	err := x.askPerson(ctx, r, c, steps)
	allowed := err == nil && steps.asked
	if allowed {
		debuglog.Dispatch(x.Log, "run waits for its clearance", r.Dispatch.UID)
		x.notifySink(func(s Sink) { s.Allowed(r.Dispatch) })
		err = x.awaitStage(ctx, r, StageStart)
	}
	denied := (*mediation.Denied)(nil)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &denied):
		debuglog.Dispatch(x.Log, "run denied", r.Dispatch.UID, "code", denied.Code)
		return x.notStartedOutcome(journal.Rejected, denied.Code, denied.Message)
	case errors.Is(context.Cause(ctx), errExpired):
		return x.expiredOutcome()
	case steps.asked && !allowed && errors.Is(context.Cause(ctx), errStopping):
		return questionOpen
	case ctx.Err() != nil:
		return x.interruptedOutcome(ctx)
	default:
		x.Log.Error("local mediation failed; it is not run", "dispatch", r.Dispatch.UID, "error", err)
		return x.notStartedOutcome(journal.Failed, errorcode.Internal, "local mediation is not possible now")
	}
}

// newQuestion returns the question to the local policy about a run.
func newQuestion(r *run, c *capability.Entry) mediation.Question {
	return mediation.Question{
		Namespace: r.Dispatch.Namespace, Name: r.Dispatch.Name, UID: r.Dispatch.UID,
		Capability: r.Capability, Description: c.Description(), Target: r.target, Warning: r.warning, RequestedBy: r.RequestedBy,
		Since: r.askedTime, Until: r.Expires, MediationRequired: c.Mediation() == capability.MediationLocal,
	}
}

// mediationJournal journals the steps of a mediation. A slow session does not delay the person's
// answer, because mediate reports it.
type mediationJournal struct {
	x     *Executor
	r     *run
	asked bool
}

func (m *mediationJournal) StoreQuestion(user string, since time.Time) error {
	if m.asked {
		return nil // an earlier process journaled it, and every session reports it
	}
	pendingOffer := &journal.PendingOffer{Input: m.r.Input, Timeout: m.r.Timeout, MaxOutputBytes: m.r.MaxOutputBytes, RequestedBy: m.r.RequestedBy}
	if err := m.x.Journal.StoreQuestion(m.r.Dispatch.UID, journal.Mediation{AskedUser: user, Since: since, PendingOffer: pendingOffer}); err != nil {
		return err
	}
	m.asked = true
	debuglog.Dispatch(m.x.Log, "person asked", m.r.Dispatch.UID)
	m.x.notifySink(func(s Sink) { s.Asked(m.r.Dispatch, user, since) })
	return nil
}

func (m *mediationJournal) StoreAnswer(allowed bool, by string) error {
	answer := journal.Unanswered
	switch {
	case allowed:
		answer = journal.Allowed
	case by != "":
		answer = journal.Denied
	}
	debuglog.Dispatch(m.x.Log, "answer received", m.r.Dispatch.UID, "answer", string(answer))
	m.r.clearance.withdrawStart()
	return m.x.Journal.StoreAnswer(m.r.Dispatch.UID, answer, by, m.x.Now())
}
