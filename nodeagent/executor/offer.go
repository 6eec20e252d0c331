package executor

import (
	"errors"
	"fmt"

	"github.com/mooring-dev/mooring/nodeagent/capability"
	"github.com/mooring-dev/mooring/nodeagent/journal"
)

// The error codes are the same as those of the cluster.
const (
	codeUnknownCapability     = "UnknownCapability"
	codeCapabilityUnavailable = "CapabilityUnavailable"
	codeInvalidInput          = "InvalidInput"
	codeInvalidOutput         = "InvalidOutput"
	codeCapabilityFailed      = "CapabilityFailed"
	codeAgentRestarted        = "AgentRestarted"
	codeJournalFull           = "JournalFull"
	codeExpired               = "Expired"
	codeTimeout               = "Timeout"
	codeCancelled             = "Cancelled"
	codeInternal              = "Internal"
)

// Offer handles an offer: a known one is answered from the journal, a new one is journaled and run,
// or rejected. It returns once that is decided.
func (x *Executor) Offer(offer Offer) {
	entry, known, err := x.Journal.Lookup(offer.Dispatch.UID)
	switch {
	case err != nil:
		x.Log.Error("journal cannot be read; the offer is not taken", "dispatch", offer.Dispatch.UID, "error", err)
	case known:
		x.repeat(entry)
	default:
		x.take(offer)
	}
}

// repeat sends the last state of a dispatch again.
func (x *Executor) repeat(entry journal.Entry) {
	x.tell(func(s Sink) {
		if entry.State == journal.Finished {
			s.Finished(entry)
			return
		}
		s.Accepted(entry.Dispatch)
		Remind(s, entry)
	})
}

// Remind sends the mediation state of an unfinished dispatch again.
func Remind(s Sink, entry journal.Entry) {
	switch m := entry.Mediation; {
	case m == nil:
	case m.Answer == journal.Allowed:
		s.Allowed(entry.Dispatch)
	case m.Answer == "":
		s.Asked(entry.Dispatch, m.AskedUser, m.Since)
	}
}

func (x *Executor) take(offer Offer) {
	if len(offer.Input) == 0 {
		offer.Input = []byte("{}")
	}
	c, target, refusal := x.check(offer)
	if refusal != nil {
		x.refuse(offer, *refusal)
		return
	}
	r := x.begin(offer, target, c.Warning(target))
	if r == nil {
		return // the agent stops; the gateway offers again to another process or later
	}
	if err := x.accept(r, c); err != nil {
		x.end(r)
		x.noRoom(offer, err)
		return
	}
	x.tell(func(s Sink) { s.Accepted(offer.Dispatch) })
	go x.run(r, c)
}

// check returns the capability and the target of the input, or the outcome of a rejection.
func (x *Executor) check(offer Offer) (c *capability.Entry, target string, refusal *journal.Outcome) {
	horizon, err := x.Journal.Horizon()
	if err != nil {
		return nil, "", x.unstarted(journal.Failed, codeInternal, "the journal cannot be read")
	}
	if !offer.Expires.After(horizon) {
		outcome := x.unstarted(journal.TimedOut, codeExpired, "it expired before dispatches this agent has already forgotten; it may have run then")
		outcome.Execution = journal.Unknown
		return nil, "", outcome
	}
	if !x.Now().Before(offer.Expires) {
		return nil, "", x.expired()
	}
	c, ok := x.Registry.Get(offer.Capability)
	if !ok {
		return nil, "", x.unstarted(journal.Rejected, codeUnknownCapability, fmt.Sprintf("this machine has no capability %q", offer.Capability))
	}
	if reason := c.Unavailable(); reason != "" {
		return nil, "", x.unstarted(journal.Rejected, codeCapabilityUnavailable, reason)
	}
	err = c.CheckInput(offer.Input)
	if err == nil {
		target, err = c.Target(offer.Input)
	}
	if err != nil {
		return nil, "", x.unstarted(journal.Rejected, codeInvalidInput, err.Error())
	}
	return c, target, nil
}

// refuse journals an outcome without a run, so that a lost answer is repeated.
func (x *Executor) refuse(offer Offer, outcome journal.Outcome) {
	entry := entryOf(offer)
	if err := x.Journal.Refuse(entry, outcome); err != nil {
		x.noRoom(offer, err)
		return
	}
	entry.State, entry.Outcome = journal.Finished, &outcome
	x.tell(func(s Sink) { s.Finished(entry) })
}

// noRoom rejects a dispatch that cannot be journaled. Nothing ran, so the rejection itself need not
// be stored: if the answer is lost, the gateway offers the dispatch again.
func (x *Executor) noRoom(offer Offer, cause error) {
	x.Log.Error("dispatch refused: it cannot be journaled", "dispatch", offer.Dispatch.UID, "error", cause)
	if errors.Is(cause, journal.ErrState) {
		return // the dispatch was journaled meanwhile; its entry answers
	}
	x.impaired(cause)
	outcome := x.unstarted(journal.Rejected, codeInternal, "the agent's journal cannot be written: "+cause.Error())
	if errors.Is(cause, journal.ErrFull) {
		outcome = x.unstarted(journal.Rejected, codeJournalFull, "the agent has no room to remember another dispatch")
	}
	entry := entryOf(offer)
	entry.State, entry.Outcome = journal.Finished, outcome
	x.tell(func(s Sink) { s.Finished(entry) })
}

// Cancel cancels a dispatch. A dispatch that has an outcome is answered with it; a dispatch that
// this agent never received is proven not to have started.
func (x *Executor) Cancel(dispatch journal.Ref) {
	if r := x.lookupActive(dispatch.UID); r != nil {
		r.cancel(errCancelled)
		return
	}
	entry, known, err := x.Journal.Lookup(dispatch.UID)
	if err != nil {
		x.Log.Error("journal cannot be read; the cancellation is not answered", "dispatch", dispatch.UID, "error", err)
		return
	}
	if !known {
		entry = journal.Entry{Dispatch: dispatch, State: journal.Finished, Outcome: x.cancelled()}
	}
	x.repeat(entry)
}

// Settled journals that the gateway has stored the outcome. If the gateway settled a dispatch that
// has not started here, for example because it was deleted, Settled cancels it.
func (x *Executor) Settled(dispatch journal.Ref) {
	err := x.Journal.Settle(dispatch.UID)
	switch {
	case err == nil, errors.Is(err, journal.ErrUnknown):
	case errors.Is(err, journal.ErrState):
		x.cancelUnstarted(dispatch.UID)
	default:
		// The entry stays unsettled; a later session sends and settles it again.
		x.Log.Error("settling cannot be journaled", "dispatch", dispatch.UID, "error", err)
	}
}

func (x *Executor) cancelUnstarted(uid string) {
	entry, known, err := x.Journal.Lookup(uid)
	if r := x.lookupActive(uid); err == nil && known && r != nil && entry.State == journal.Accepted {
		r.cancel(errCancelled)
	}
}

func entryOf(offer Offer) journal.Entry {
	return journal.Entry{Dispatch: offer.Dispatch, Capability: offer.Capability, Expires: offer.Expires.UTC()}
}
