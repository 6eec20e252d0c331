package session

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/mooring-dev/mooring/internal/gateway/apicall"
)

// watchLag measures the lag of the Node watch: the age of the newest own write that the watch
// has delivered. The value is meaningful only while writes are made. Service.refresh makes them
// as long as this process holds a Node.
type watchLag struct {
	clock clock.PassiveClock

	mu sync.Mutex
	// pending holds the newest write of each Node that the watch has not delivered yet.
	pending map[types.NamespacedName]ownWrite
	// deliveredSentAt is the time at which the newest delivered write was sent. A process that
	// holds no Node cannot measure the lag: each new session is a live read then.
	deliveredSentAt time.Time
}

type ownWrite struct {
	resourceVersion string
	sentAt          time.Time
}

func newWatchLag(c clock.PassiveClock) *watchLag {
	return &watchLag{clock: c, pending: map[types.NamespacedName]ownWrite{}, deliveredSentAt: c.Now()}
}

// addWrite adds a successful own write.
func (f *watchLag) addWrite(key types.NamespacedName, resourceVersion string, sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending[key] = ownWrite{resourceVersion, sent}
}

// observe records that the watch delivered resourceVersion of the Node key.
func (f *watchLag) observe(key types.NamespacedName, resourceVersion string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	write, ok := f.pending[key]
	if !ok || apicall.IsNewerVersion(write.resourceVersion, resourceVersion) {
		return
	}
	delete(f.pending, key)
	if write.sentAt.After(f.deliveredSentAt) {
		f.deliveredSentAt = write.sentAt
	}
}

// reset resets the measurement when the process holds a Node again. The idle time before is no
// lag.
func (f *watchLag) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.pending)
	f.deliveredSentAt = f.clock.Now()
}

// lag returns the age of the newest delivered write.
func (f *watchLag) lag() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock.Since(f.deliveredSentAt)
}

// check returns an error if the watch lags by more than limit.
func (f *watchLag) check(limit time.Duration) error {
	if lag := f.lag(); lag > limit {
		return fmt.Errorf("the watch of Nodes has shown nothing of the last %s", lag.Round(time.Second))
	}
	return nil
}
