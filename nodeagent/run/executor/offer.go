package executor

import (
	"errors"
	"fmt"

	"github.com/mooring-dev/mooring/api/errorcode"
	"github.com/mooring-dev/mooring/nodeagent/run/capability"
	"github.com/mooring-dev/mooring/nodeagent/run/debuglog"
	"github.com/mooring-dev/mooring/nodeagent/run/journal"
)

// Offer handles an offer: a known one is answered from the journal, a new one is journaled and run,
// or rejected. It returns once that is decided.
func (x *Executor) Offer(offer Offer) {
	entry, known, err := x.Journal.Lookup(offer.Dispatch.UID)
	switch {
	case err != nil:
		x.Log.Error("journal cannot be read; the offer is not taken", "dispatch", offer.Dispatch.UID, "error", err)
	case known:
		x.resendState(entry)
	default:
		x.handleNewOffer(offer)
	}
}

// resendState sends the last state of a dispatch again.
func (x *Executor) resendState(entry journal.Entry) {
	debuglog.Dispatch(x.Log, "dispatch is in the journal already", entry.Dispatch.UID, "state", string(entry.State))
	x.notifySink(func(s Sink) {
		if entry.State == journal.Finished {
			s.Finished(entry)
			return
		}
		s.Accepted(entry.Dispatch)
		ResendMediation(s, entry)
	})
}

// ResendMediation sends the mediation state of an unfinished dispatch again.
func ResendMediation(s Sink, entry journal.Entry) {
	switch m := entry.Mediation; {
	case m == nil:
	case m.Answer == journal.Allowed:
		s.Allowed(entry.Dispatch)
	case m.Answer == "":
		s.Asked(entry.Dispatch, m.AskedUser, m.Since)
	}
}

func (x *Executor) handleNewOffer(offer Offer) {
	if len(offer.Input) == 0 {
		offer.Input = []byte("{}")
	}
	c, target, rejection := x.validateOffer(offer)
	if rejection != nil {
		x.rejectOffer(offer, *rejection)
		return
	}
	r := x.registerRun(offer, target, c.Warning(target))
	if r == nil {
		debuglog.Dispatch(x.Log, "offer not taken, the agent stops", offer.Dispatch.UID)
		return // the agent stops; the gateway offers again to another process or later
	}
	if err := x.journalOffer(r, c); err != nil {
		x.unregisterRun(r)
		x.rejectUnjournaled(offer, err)
		return
	}
	debuglog.Dispatch(x.Log, "offer journaled", offer.Dispatch.UID)
	x.notifySink(func(s Sink) { s.Accepted(offer.Dispatch) })
	go x.runDispatch(r, c)
}

// validateOffer returns the capability and the target of the input, or the outcome of a rejection.
func (x *Executor) validateOffer(offer Offer) (c *capability.Entry, target string, rejection *journal.Outcome) {
	horizon, err := x.Journal.Horizon()
	if err != nil {
		return nil, "", x.notStartedOutcome(journal.Failed, errorcode.Internal, "the journal cannot be read")
	}
	if !offer.Expires.After(horizon) {
		outcome := x.notStartedOutcome(journal.TimedOut, errorcode.Expired, "it expired before dispatches this agent has already forgotten; it may have run then")
		outcome.Execution = journal.Unknown
		return nil, "", outcome
	}
	if !x.Now().Before(offer.Expires) {
		return nil, "", x.expiredOutcome()
	}
	c, ok := x.Registry.Get(offer.Capability)
	if !ok {
		return nil, "", x.notStartedOutcome(journal.Rejected, errorcode.UnknownCapability, fmt.Sprintf("this machine has no capability %q", offer.Capability))
	}
	if reason := c.Unavailable(); reason != "" {
		return nil, "", x.notStartedOutcome(journal.Rejected, errorcode.CapabilityUnavailable, reason)
	}
	err = c.CheckInput(offer.Input)
	if err == nil {
		target, err = c.Target(offer.Input)
	}
	if err != nil {
		return nil, "", x.notStartedOutcome(journal.Rejected, errorcode.InvalidInput, err.Error())
	}
	return c, target, nil
}

// rejectOffer journals an outcome without a run, so that a lost answer is repeated.
func (x *Executor) rejectOffer(offer Offer, outcome journal.Outcome) {
	debuglog.Dispatch(x.Log, "offer refused", offer.Dispatch.UID, "code", outcome.ErrorCode)
	entry := newEntry(offer)
	if err := x.Journal.StoreRejection(entry, outcome); err != nil {
		x.rejectUnjournaled(offer, err)
		return
	}
	entry.State, entry.Outcome = journal.Finished, &outcome
	x.notifySink(func(s Sink) { s.Finished(entry) })
}

// rejectUnjournaled rejects a dispatch that cannot be journaled. Nothing ran, so the rejection
// itself need not be stored: if the answer is lost, the gateway offers the dispatch again.
func (x *Executor) rejectUnjournaled(offer Offer, cause error) {
	x.Log.Error("dispatch refused: it cannot be journaled", "dispatch", offer.Dispatch.UID, "error", cause)
	if errors.Is(cause, journal.ErrWrongState) {
		return // the dispatch was journaled meanwhile; its entry answers
	}
	x.declareImpaired(cause)
	outcome := x.notStartedOutcome(journal.Rejected, errorcode.Internal, "the agent's journal cannot be written: "+cause.Error())
	if errors.Is(cause, journal.ErrFull) {
		outcome = x.notStartedOutcome(journal.Rejected, errorcode.JournalFull, "the agent has no room to remember another dispatch")
	}
	entry := newEntry(offer)
	entry.State, entry.Outcome = journal.Finished, outcome
	x.notifySink(func(s Sink) { s.Finished(entry) })
}

// Cancel cancels a dispatch. A dispatch that has an outcome is answered with it; a dispatch that
// this agent never received is proven not to have started.
func (x *Executor) Cancel(dispatch journal.Ref) {
	if r := x.lookupActive(dispatch.UID); r != nil {
		debuglog.Dispatch(x.Log, "run cancelled", dispatch.UID)
		r.cancel(errCancelled)
		return
	}
	entry, known, err := x.Journal.Lookup(dispatch.UID)
	if err != nil {
		x.Log.Error("journal cannot be read; the cancellation is not answered", "dispatch", dispatch.UID, "error", err)
		return
	}
	if !known {
		entry = journal.Entry{Dispatch: dispatch, State: journal.Finished, Outcome: x.cancelledOutcome()}
	}
	x.resendState(entry)
}

// Settled journals that the gateway has stored the outcome. If the gateway settled a dispatch that
// has not started here, for example because it was deleted, Settled cancels it.
func (x *Executor) Settled(dispatch journal.Ref) {
	err := x.Journal.Settle(dispatch.UID)
	switch {
	case err == nil:
		debuglog.Dispatch(x.Log, "dispatch settled", dispatch.UID)
	case errors.Is(err, journal.ErrNotFound):
	case errors.Is(err, journal.ErrWrongState):
		x.cancelUnstarted(dispatch.UID)
	default:
		// The entry stays unsettled; a later session sends and settles it again.
		x.Log.Error("settling cannot be journaled", "dispatch", dispatch.UID, "error", err)
	}
}

func (x *Executor) cancelUnstarted(uid string) {
	entry, known, err := x.Journal.Lookup(uid)
	if r := x.lookupActive(uid); err == nil && known && r != nil && entry.State == journal.Accepted {
		debuglog.Dispatch(x.Log, "run cancelled, the gateway settled the dispatch", uid)
		r.cancel(errCancelled)
	}
}

func newEntry(offer Offer) journal.Entry {
	return journal.Entry{Dispatch: offer.Dispatch, Capability: offer.Capability, Expires: offer.Expires.UTC()}
}
