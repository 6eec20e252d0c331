//go:build !linux

package gatewaytime

import "time"

// SinceBoot returns Go's monotonic clock as a timer for Clock. On systems where it stands still
// while the machine sleeps, the next Welcome corrects the Clock.
func SinceBoot() time.Duration { return time.Since(processStart) }

var processStart = time.Now()
