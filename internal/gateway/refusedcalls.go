package gateway

import (
	"sync/atomic"
	"time"

	"github.com/mooring-dev/mooring/internal/gateway/denial"
)

// maxRefusals is how many calls of a connection may be refused in a row; the next one closes it.
const maxRefusals = 8

// refusedCalls counts the refused calls of a connection in a row. A refusal costs little, but not
// nothing: a caller that does not stop has to pay for a new connection.
type refusedCalls struct {
	inRow atomic.Int32
	close func()
}

// count counts a refused call.
func (r *refusedCalls) count() { r.inRow.Add(1) }

// reset clears the count after a call that was not refused.
func (r *refusedCalls) reset() { r.inRow.Store(0) }

// closeIfTooMany closes the connection and returns an error when maxRefusals calls in a row were
// refused.
func (r *refusedCalls) closeIfTooMany(metrics *Metrics, listener string) error {
	if r.inRow.Load() < maxRefusals {
		return nil
	}
	metrics.countRefused(listener, reasonTooManyRefusals)
	r.close()
	return denial.RateLimited(time.Second, "too many refused calls on this connection")
}
