package executor

import (
	"sync"
	"time"
)

const (
	// progressInterval is how often progress of one dispatch is told at most.
	progressInterval = time.Second
	// maxProgressBytes bounds its message on the wire.
	maxProgressBytes = 256
)

// coalescer tells the first progress at once, then the newest once an interval.
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

// note takes progress; it does not block and may come from anywhere, late even.
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

// say tells p and keeps quiet for an interval. The caller holds the lock.
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

// stop tells nothing more: the outcome is next.
func (c *coalescer) stop() {
	c.mu.Lock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.telling.Wait()
}
