package chaos_test

import (
	"context"
	"slices"
	"time"

	"github.com/mooring-dev/mooring/test/chaos/check"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

// verdictTimeout is long enough for machines that were cut off often: they wait up to five minutes
// between attempts.
const verdictTimeout = 6 * time.Minute

// collectHistory returns the history so far. It reads the marks last, so that each mark was written
// before the state that it caused.
func (r *rig) collectHistory(ctx context.Context) (h check.History, err error) {
	h = check.History{Requests: r.requester.history(), OneAtATime: r.oneAtATime}
	if h.States, err = r.observer.history(ctx); err != nil {
		return h, err
	}
	h.Kills = r.deathTimes()
	h.Marks, err = witness.ReadMarks(r.marks)
	return h, err
}

// awaitVerdict waits until there is no violation of the pending kinds, or for as long as machines may
// need to return. A dispatch that is lost only until then is not lost.
func (r *rig) awaitVerdict(pending ...check.Kind) (h check.History, violations []check.Violation) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), verdictTimeout)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		now, err := r.collectHistory(ctx)
		if err == nil {
			h, violations = now, check.Check(now)
			if !slices.ContainsFunc(violations, func(v check.Violation) bool { return slices.Contains(pending, v.Kind) }) {
				return h, violations
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return h, violations
		}
	}
}
