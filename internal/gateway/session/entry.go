package session

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// settledMemory is how long a settled dispatch is remembered when the watch does not say
// that it left: old news of it must not look like a new dispatch.
const settledMemory = 10 * time.Minute

// entry is what a session knows of one dispatch. Facts come in any order; session.advance
// looks at all of them and takes the next step.
type entry struct {
	// d is the newest state known, of the watch or of an own write.
	d *v1alpha1.CapabilityDispatch
	// busy is true while a worker reads or writes it: there is one at a time.
	busy bool

	// offered: the machine knows of it, by an Offer of this session or from its journal.
	offered   bool
	offeredAt time.Time
	// accepted: it is in the journal of the machine.
	accepted   bool
	acceptedAt time.Time
	cancelSent bool

	// stage is how far the machine knows that the dispatch may go; unspecified for one of an
	// earlier session. recheckAt is when the rights are looked at again after a failure.
	stage     gatewayv1.Clearance_Stage
	recheckAt time.Time
	// review is the newest result about the requester.
	review dispatch.Review
	// reviewedUntil is how long that counts for an offer, on the local clock.
	reviewedUntil time.Time

	asked      *question
	yes        bool
	progress   *v1alpha1.DispatchProgress // not written yet
	progressAt time.Time                  // last written, local clock

	result *dispatch.Result
	// replaced: the API server refused the result of the machine for its content, and result is
	// what is recorded instead.
	replaced bool
	// retryAt is when a write that was refused is tried again, on the local clock; refusals
	// counts those in a row.
	retryAt  time.Time
	refusals int
	// settled: recorded, or nothing is left to record. It stays until the watch says it left.
	settled bool
	// settledAt is when it was settled or recalled, on the local clock.
	settledAt time.Time
	left      bool
}

// forgettable tells whether nothing more is expected of the dispatch. A result of one that was
// recalled may still come: then it is a stray.
func (e *entry) forgettable(now time.Time) bool {
	old := !e.settledAt.IsZero() && now.Sub(e.settledAt) > settledMemory
	if e.settled {
		return e.left || old
	}
	return old && !e.busy && e.result == nil && dispatch.Finished(e.d.Status)
}

// question to a person at the machine.
type question struct {
	user  string
	since time.Time
}

// started tells that the run time counts: the machine has it and asks nobody.
func (e *entry) started() bool {
	return e.accepted && ((e.asked == nil && !e.yes) || e.stage == gatewayv1.Clearance_STAGE_START)
}

// giveUpAt is when the machine should have reported the end, in the API server's time;
// grace is what it may take to report.
func (e *entry) giveUpAt(grace time.Duration) time.Time {
	if c := dispatch.WithdrawnFor(e.d.Status); c != nil {
		return c.LastTransitionTime.Add(grace)
	}
	latest := dispatch.Expires(e.d)
	if e.started() && e.acceptedAt.Before(latest) {
		latest = e.acceptedAt
	}
	return latest.Add(dispatch.Timeout(e.d) + grace)
}
