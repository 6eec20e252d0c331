package session

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
)

// freshness measures how far the watch of Nodes lags, on the watch itself: how long ago
// was the newest of our own writes sent that the watch has shown. It means something
// only while writes are made; the refresher sees to that while any Node is held.
type freshness struct {
	clock clock.PassiveClock

	mu sync.Mutex
	// pending are writes the watch has not shown yet, the newest of each Node.
	pending map[types.NamespacedName]ownWrite
	// shown is when the newest write was sent that the watch has shown. A process that
	// holds no Node knows nothing: each new session is a live read then.
	shown time.Time
}

type ownWrite struct {
	resourceVersion string
	sent            time.Time
}

func newFreshness(c clock.PassiveClock) *freshness {
	return &freshness{clock: c, pending: map[types.NamespacedName]ownWrite{}, shown: c.Now()}
}

// wrote notes an own write that succeeded.
func (f *freshness) wrote(key types.NamespacedName, resourceVersion string, sent time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending[key] = ownWrite{resourceVersion, sent}
}

// saw notes what the watch has shown.
func (f *freshness) saw(key types.NamespacedName, resourceVersion string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	write, ok := f.pending[key]
	if !ok || newer(write.resourceVersion, resourceVersion) {
		return
	}
	delete(f.pending, key)
	if write.sent.After(f.shown) {
		f.shown = write.sent
	}
}

// restart forgets the past when the first Node is held again: idle time is no lag.
func (f *freshness) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.pending)
	f.shown = f.clock.Now()
}

// lag is how old the newest shown write is.
func (f *freshness) lag() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock.Since(f.shown)
}

// check errs when the watch is older than limit.
func (f *freshness) check(limit time.Duration) error {
	if lag := f.lag(); lag > limit {
		return fmt.Errorf("the watch of Nodes has shown nothing of the last %s", lag.Round(time.Second))
	}
	return nil
}

// newer tells whether resourceVersion a is later than b. Versions that cannot be compared
// count as not newer unless they differ: looking twice is harmless, missing news is not.
func newer(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	if err != nil {
		return a != b
	}
	return order > 0
}
