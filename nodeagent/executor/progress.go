package executor

import (
	"sync"
	"time"
)

const (
	// progressInterval is the shortest time between two progress messages of one dispatch.
	progressInterval = time.Second
	// maxProgressBytes bounds the message of a progress report on the wire.
	maxProgressBytes = 256
)

// coalescer sends the first progress at once, and then the newest one in each interval.
type coalescer struct {
	tell func(percent int, message string)

	mu      sync.Mutex
	timer   *time.Timer
	waiting *progress
	stopped bool
	telling sync.WaitGroup
}

type progress struct {
	percent int
	message string
}

// note handles a progress report of a capability. It does not block, and may be called from any
// goroutine, even after the run.
func (c *coalescer) note(percent int, message string) {
	p := progress{min(max(percent, 0), 100), clipTo(message, maxProgressBytes)}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
	case c.timer != nil:
		c.waiting = &p
	default:
		c.say(p)
	}
}

// say sends p and starts an interval without messages. The caller holds the lock.
func (c *coalescer) say(p progress) {
	c.waiting = nil
	c.timer = time.AfterFunc(progressInterval, c.next)
	c.telling.Go(func() { c.tell(p.percent, p.message) })
}

func (c *coalescer) next() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	if c.waiting != nil && !c.stopped {
		c.say(*c.waiting)
	}
}

// stop ends the progress messages: the outcome follows.
func (c *coalescer) stop() {
	c.mu.Lock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.telling.Wait()
}
