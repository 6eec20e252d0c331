package nodestatus

import (
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/wait"
)

// nodeWritesPerSecond bounds the rate at which the controller writes Node.status. When a gateway
// with 10,000 sessions dies, the controller must not send 10,000 writes at once.
const nodeWritesPerSecond = 50

// WriteBudget spreads writes over time without blocking a worker.
type WriteBudget struct{ limiter *rate.Limiter }

// NewWriteBudget returns a full budget.
func NewWriteBudget() WriteBudget {
	return WriteBudget{rate.NewLimiter(nodeWritesPerSecond, nodeWritesPerSecond)}
}

// Take spends one write and returns zero, or returns the time after which to try again. The times
// are random, so that waiting callers do not all return at once.
func (b WriteBudget) Take() time.Duration {
	if b.limiter.Allow() {
		return 0
	}
	return wait.Jitter(time.Second, 4)
}
