package gatewaytime

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot returns the time since boot, a timer for Clock. Go's own monotonic clock stands still
// while a Linux machine sleeps (golang/go#24595).
func SinceBoot() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Since(processStart)
	}
	return time.Duration(ts.Nano())
}

var processStart = time.Now()
