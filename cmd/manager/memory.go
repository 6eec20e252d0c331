package main

import (
	"os"
	"runtime/debug"
)

// gatewayGCPercent lets the heap of a gateway grow by a quarter between two collections, not to its
// double. Nearly all of it are connections that live for days, and the room to grow is resident
// memory: 15 KiB per machine less, or more. It costs processor time in proportion to what is allocated,
// next to nothing while machines idle; a gateway that dispatches hundreds a second all day and has
// memory to spare is better off with GOGC=100.
const gatewayGCPercent = 25

// collectSooner sets the default of a gateway, unless GOGC says something else. GOMEMLIMIT works
// as everywhere.
func collectSooner() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gatewayGCPercent)
	}
}
