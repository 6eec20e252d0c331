package chaos_test

import (
	"context"
	"slices"
	"time"

	"github.com/mooring-dev/mooring/test/chaos/check"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

// patience is long enough for machines that were cut off often: they wait up to five minutes
// between attempts.
const patience = 6 * time.Minute

// everything returns the history so far. It reads the marks last, so that each mark was written
// before the state that it caused.
func (r *rig) everything(ctx context.Context) (h check.History, err error) {
	h = check.History{Asked: r.asker.history(), OneAtATime: r.oneAtATime}
	if h.Seen, err = r.observer.history(ctx); err != nil {
		return h, err
	}
	h.Deaths = r.mourned()
	h.Marks, err = witness.Read(r.marks)
	return h, err
}

// verdict waits until there is no violation of the pending kinds, or for as long as machines may
// need to return. A dispatch that is lost only until then is not lost.
func (r *rig) verdict(pending ...check.Kind) (h check.History, violations []check.Violation) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		now, err := r.everything(ctx)
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
