package session

import (
	"sync/atomic"
	"time"
)

// Clock is the gateway's time as well as the agent knows it: expiries are given in
// that time, and a machine's own clock may be hours off.
type Clock struct {
	now    func() time.Time
	offset atomic.Int64
}

// NewClock begins with the machine's own time.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Now is the gateway's time.
func (c *Clock) Now() time.Time { return c.now().Add(time.Duration(c.offset.Load())).UTC() }

// Observe takes the time a gateway just told.
func (c *Clock) Observe(gateway time.Time) { c.offset.Store(int64(gateway.Sub(c.now()))) }

// Skew is how far the gateway is ahead of the machine.
func (c *Clock) Skew() time.Duration { return time.Duration(c.offset.Load()) }
