package dispatchtable

import (
	"time"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// settledTTL is the time that a settled dispatch is remembered if the watch does not show that
// it left. A late event about it must not look like a new dispatch.
const settledTTL = 10 * time.Minute

// entry is the state of one dispatch in a session. Facts arrive in any order; Table.advance considers
// all of them and takes the next step.
type entry struct {
	// d is the newest known state, from the watch or from an own write.
	d *v1alpha1.CapabilityDispatch
	// busy is true while a worker reads or writes the dispatch. There is one worker at a time.
	busy bool

	// offered is true if the machine knows the dispatch, from an Offer of this session or from
	// its journal.
	offered   bool
	offeredAt time.Time
	// accepted is true if the dispatch is in the journal of the machine.
	accepted   bool
	acceptedAt time.Time
	cancelSent bool

	// stage is the latest stage that the machine knows the dispatch is cleared for. It is
	// unspecified for a dispatch of an earlier session.
	stage gatewayv1.Clearance_Stage
	// recheckAt is the time on the local clock of the next check of the rights after a failed one.
	recheckAt time.Time
	// review is the newest result of a review of the requester.
	review dispatch.Review
	// reviewedUntil is the time on the local clock until which review is valid for an offer.
	reviewedUntil time.Time

	approvalRequest *approvalRequest
	approved        bool
	progress        *v1alpha1.DispatchProgress // not written yet
	progressAt      time.Time                  // last write of a progress, local clock

	result *dispatch.Result
	// resultReplaced is true if the API server refused the result of the machine for its content.
	// Then result is a substitute without that content.
	resultReplaced bool
	// retryAt is the time on the local clock at which a refused write is tried again. refusals
	// counts consecutive refusals.
	retryAt  time.Time
	refusals int
	// settled is true if the result is recorded or nothing is left to record. The entry stays
	// until the watch shows that the dispatch left.
	settled bool
	// settledAt is the time on the local clock at which the dispatch was settled or cancelled by
	// cancelFinished.
	settledAt time.Time
	// leftWatch is true if the dispatch left the watch.
	leftWatch bool
}

// forgettable reports whether the entry may be deleted, because no more events are expected. A
// later result of a cancelled dispatch is handled like the result of an unknown dispatch.
func (e *entry) forgettable(now time.Time) bool {
	old := !e.settledAt.IsZero() && now.Sub(e.settledAt) > settledTTL
	if e.settled {
		return e.leftWatch || old
	}
	return old && !e.busy && e.result == nil && dispatch.Finished(e.d.Status)
}

// approvalRequest is a request for approval to a person at the machine.
type approvalRequest struct {
	user  string
	since time.Time
}

// runTimeStarted reports whether the run time counts: the machine accepted the dispatch and waits
// for no person's approval.
func (e *entry) runTimeStarted() bool {
	return e.accepted && ((e.approvalRequest == nil && !e.approved) || e.stage == gatewayv1.Clearance_STAGE_START)
}

// overdueAt returns the time by which the machine must have reported the end, in the API server's
// time. grace is the time allowed for the report itself.
func (e *entry) overdueAt(grace time.Duration) time.Time {
	if c := dispatch.WithdrawnCondition(e.d.Status); c != nil {
		return c.LastTransitionTime.Add(grace)
	}
	latest := dispatch.ExpiryTime(e.d)
	if e.runTimeStarted() && e.acceptedAt.Before(latest) {
		latest = e.acceptedAt
	}
	return latest.Add(dispatch.RunTimeout(e.d) + grace)
}

// markAccepted records that the machine has the dispatch in its journal.
func (e *entry) markAccepted(now time.Time) {
	if !e.accepted {
		e.accepted, e.acceptedAt = true, now
	}
}
