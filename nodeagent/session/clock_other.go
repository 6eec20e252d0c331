//go:build !linux

package session

import "time"

// SinceBoot is a timer for Clock: the monotonic clock of Go. Where it stands still while the
// machine sleeps, the next Welcome puts it right.
func SinceBoot() time.Duration { return time.Since(began) }

var began = time.Now()
