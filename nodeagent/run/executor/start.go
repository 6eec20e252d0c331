package executor

import (
	"context"
	"errors"
	"time"

	"github.com/mooring-dev/mooring/api/errorcode"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// journalOffer journals the offer. A dispatch that waits neither for a person nor for a slot is
// journaled as started with the same write.
func (x *Executor) journalOffer(r *run, c *capability.Entry) error {
	if !x.Policy.AllowsWithoutQuestion(newQuestion(r, c)) {
		return x.Journal.Accept(newEntry(r.Offer))
	}
	select {
	case x.slots <- struct{}{}:
	default:
		debuglog.Dispatch(x.Log, "run waits for a slot", r.Dispatch.UID)
		return x.Journal.Accept(newEntry(r.Offer))
	}
	r.started = true
	err := x.Journal.AcceptAndStart(newEntry(r.Offer), x.Now())
	if err != nil {
		<-x.slots
	}
	return err
}

// prepareStart prepares a run up to its call: it is allowed, holds a slot and is journaled as
// started. An outcome means that there will be no run.
func (x *Executor) prepareStart(r *run, c *capability.Entry) *journal.Outcome {
	if r.started {
		return x.checkStillStartable(r) // a slow session may have delayed it since
	}
	if outcome := x.mediate(r, c); outcome != nil {
		return outcome
	}
	if outcome := x.awaitClearedSlot(r); outcome != nil {
		return outcome
	}
	if err := x.Journal.Start(r.Dispatch.UID, x.Now()); err != nil {
		<-x.slots
		x.Log.Error("start cannot be journaled; it is not run", "dispatch", r.Dispatch.UID, "error", err)
		x.declareImpaired(err)
		return x.notStartedOutcome(journal.Failed, errorcode.Internal, "the agent's journal cannot be written: "+err.Error())
	}
	return nil
}

// awaitClearedSlot waits until the run has a slot and the gateway does not hold it; an outcome
// means that there will be no run.
func (x *Executor) awaitClearedSlot(r *run) *journal.Outcome {
	stage, _ := r.clearance.get()
	for want := stage; ; {
		if outcome := x.awaitSlot(r); outcome != nil {
			return outcome
		}
		if stage, _ = r.clearance.get(); stage >= want {
			return nil
		}
		<-x.slots
		ctx, cancel := context.WithTimeoutCause(r.ctx, r.Expires.Sub(x.Now()), errExpired)
		err := x.awaitStage(ctx, r, want)
		cancel()
		switch {
		case errors.Is(err, errExpired):
			return x.expiredOutcome()
		case err != nil:
			return x.interruptedOutcome(r.ctx)
		}
	}
}

// awaitSlot waits for a slot; an outcome means that there will be no run.
func (x *Executor) awaitSlot(r *run) *journal.Outcome {
	expiry := time.NewTimer(r.Expires.Sub(x.Now()))
	defer expiry.Stop()
	select {
	case x.slots <- struct{}{}:
	case <-expiry.C:
		return x.expiredOutcome()
	case <-r.ctx.Done():
		return x.interruptedOutcome(r.ctx)
	}
	return x.checkStillStartable(r)
}

// checkStillStartable checks that a run which holds a slot may still start. An outcome means that
// it may not, and that the slot is released.
func (x *Executor) checkStillStartable(r *run) (outcome *journal.Outcome) {
	switch {
	case r.ctx.Err() != nil || x.isStopping(): // Stop may have freed the slot
		outcome = x.interruptedOutcome(r.ctx)
	case !x.Now().Before(r.Expires):
		outcome = x.expiredOutcome()
	default:
		return nil
	}
	<-x.slots
	return outcome
}
