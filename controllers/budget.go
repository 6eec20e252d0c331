package controllers

import (
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/util/wait"
)

// nodeWritesPerSecond bounds the writes to Node.status of the controller: a gateway with 10,000
// sessions that dies must not become 10,000 writes at once.
const nodeWritesPerSecond = 50

// writeBudget spreads writes over time without blocking a worker.
type writeBudget struct{ limiter *rate.Limiter }

func newWriteBudget() writeBudget {
	return writeBudget{rate.NewLimiter(nodeWritesPerSecond, nodeWritesPerSecond)}
}

// take spends one write, or says after what time to try again; zero means: write now. The times
// differ, so that those who wait do not come back all at once.
func (b writeBudget) take() time.Duration {
	if b.limiter.Allow() {
		return 0
	}
	return wait.Jitter(time.Second, 4)
}
