package executor

import (
	"sync"
	"time"

	"github.com/mooring-dev/mooring/internal/foreign"
)

const (
	// progressInterval is the shortest time between two progress messages of one dispatch.
	progressInterval = time.Second
	// maxProgressBytes bounds the message of a progress report on the wire.
	maxProgressBytes = 256
)

// progressCoalescer sends the first progress at once, and then the newest one in each interval.
type progressCoalescer struct {
	emit func(percent int, message string)

	mu       sync.Mutex
	timer    *time.Timer
	pending  *progress
	stopped  bool
	emitting sync.WaitGroup
}

type progress struct {
	percent int
	message string
}

// report handles a progress report of a capability. It does not block, and may be called from any
// goroutine, even after the run.
func (c *progressCoalescer) report(percent int, message string) {
	p := progress{min(max(percent, 0), 100), foreign.Truncate(message, maxProgressBytes)}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
	case c.timer != nil:
		c.pending = &p
	default:
		c.emitNow(p)
	}
}

// emitNow sends p and starts an interval without messages. The caller holds the lock.
func (c *progressCoalescer) emitNow(p progress) {
	c.pending = nil
	c.timer = time.AfterFunc(progressInterval, c.next)
	c.emitting.Go(func() { c.emit(p.percent, p.message) })
}

func (c *progressCoalescer) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	if c.pending != nil && !c.stopped {
		c.emitNow(*c.pending)
	}
}

// stop ends the progress messages: the outcome follows.
func (c *progressCoalescer) stop() {
	c.mu.Lock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.emitting.Wait()
}
