package session

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/publisher"
)

const (
	// messagesPerSecond and messagesBurst bound the messages that a gateway reads from a machine;
	// a dispatch needs two. bytesPerSecond and bytesBurst bound their bytes.
	messagesPerSecond = 2000
	messagesBurst     = 4000
	bytesPerSecond    = 8 << 20
	bytesBurst        = 16 << 20

	// schemaBytesPerSecond and schemaBytesBurst bound the bytes of schemas that no machine has
	// declared before. A description has at most MaxAllSchemasBytes.
	schemaBytesPerSecond = 8 << 10
	schemaBytesBurst     = 4 * nodestatus.MaxAllSchemasBytes
)

// Bounds of the intermediate status writes for one Node, per second and at once. Claims and
// terminal statuses do not count.
const (
	stepsPerSecond = 5
	stepsBurst     = 32
)

// Bounds of the messages that cost the cluster a read or this process much work, for one Node,
// per second and at once. A machine that reconnects after a long time has at most a few hundred
// results to report. It repeats them every minute.
const (
	unknownResultsPerSecond    = 10
	unknownResultsBurst        = 128
	capabilityChangesPerSecond = 1
	capabilityChangesBurst     = 5
)

// allowance is the budget of a Node for the work of its sessions. Consecutive sessions share it,
// so a machine gains nothing when it reconnects.
type allowance struct {
	steps             *rate.Limiter // intermediate status writes of its dispatches
	unknownResults    *rate.Limiter // results of dispatches that the session does not know
	capabilityChanges *rate.Limiter // descriptions of its capabilities

	messages, bytes *rate.Limiter // input from the machine, over streams and polls
	schemaBytes     *rate.Limiter // bytes of schemas that are parsed for the first time

	writes publisher.Budget // writes of Node.status
}

func newAllowance() *allowance {
	return &allowance{
		steps:             rate.NewLimiter(stepsPerSecond, stepsBurst),
		unknownResults:    rate.NewLimiter(unknownResultsPerSecond, unknownResultsBurst),
		capabilityChanges: rate.NewLimiter(capabilityChangesPerSecond, capabilityChangesBurst),

		messages: rate.NewLimiter(messagesPerSecond, messagesBurst),
		bytes:    rate.NewLimiter(bytesPerSecond, bytesBurst),

		schemaBytes: rate.NewLimiter(schemaBytesPerSecond, schemaBytesBurst),
	}
}

// schemaBudget returns a function that takes bytes of new schemas from the allowance and reports
// whether enough were available.
func (a *allowance) schemaBudget(now time.Time) func(bytes int) bool {
	return func(bytes int) bool { return a.schemaBytes.AllowN(now, bytes) }
}

// reserveMessage counts a message of size bytes and returns the time to wait before the next read.
func (a *allowance) reserveMessage(now time.Time, size int) time.Duration {
	wait := a.messages.ReserveN(now, 1).DelayFrom(now)
	return max(wait, a.bytes.ReserveN(now, min(size, bytesBurst)).DelayFrom(now))
}

// isFull reports whether the complete allowance is available at now.
func (a *allowance) isFull(now time.Time) bool {
	return a.writes.Full(now) && a.steps.TokensAt(now) >= stepsBurst &&
		a.unknownResults.TokensAt(now) >= unknownResultsBurst && a.capabilityChanges.TokensAt(now) >= capabilityChangesBurst &&
		a.messages.TokensAt(now) >= messagesBurst && a.bytes.TokensAt(now) >= bytesBurst && a.schemaBytes.TokensAt(now) >= schemaBytesBurst
}

// allowanceSweepInterval is the minimum time between two sweeps of allowances.
const allowanceSweepInterval = time.Minute

// allowances holds one allowance for each Node. The allowance of a Node without a session is
// deleted when it is completely available again.
type allowances struct {
	clock clock.PassiveClock
	inUse func(types.NamespacedName) bool

	mu      sync.Mutex
	byNode  map[types.NamespacedName]*allowance
	sweptAt time.Time
}

func newAllowances(c clock.PassiveClock, inUse func(types.NamespacedName) bool) *allowances {
	return &allowances{clock: c, inUse: inUse, byNode: map[types.NamespacedName]*allowance{}, sweptAt: c.Now()}
}

func (a *allowances) forNode(key types.NamespacedName) *allowance {
	now := a.clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.sweptAt) > allowanceSweepInterval {
		a.sweptAt = now
		for key, old := range a.byNode {
			if old.isFull(now) && !a.inUse(key) {
				delete(a.byNode, key)
			}
		}
	}
	found := a.byNode[key]
	if found == nil {
		found = newAllowance()
		a.byNode[key] = found
	}
	return found
}
