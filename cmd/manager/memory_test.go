package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"testing"
)

func TestAnIdleHeapGivesBackWhatItDoesNotHold(t *testing.T) {
	const live, garbage = 64 << 20, 80 << 20
	// With this GOGC the runtime's own scavenger has nothing to do. Otherwise it would release
	// memory at any moment after the collection, and the test could not see the release by
	// collectGarbage.
	const ample = 10000
	t.Setenv("GOGC", strconv.Itoa(ample))
	defer debug.SetGCPercent(debug.SetGCPercent(ample))
	keep := make([]byte, live)
	runtime.KeepAlive(make([]byte, garbage))
	h := &heap{}
	if h.collectGarbage() {
		t.Error("garbage was collected although much was allocated")
	}
	runtime.GC() // the garbage is free now, and still resident
	before := releasedBytes()
	if !h.collectGarbage() {
		t.Error("no garbage was collected although nothing was allocated")
	}
	if returned := int64(releasedBytes()) - int64(before); returned < garbage/2 {
		t.Errorf("%d bytes were released, want most of %d", returned, garbage)
	}
	runtime.KeepAlive(keep)
}

func TestTheRoomForGarbageShrinksWithTheHeap(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{{0, 100}, {8 << 20, 100}, {12 << 20, 100}, {24 << 20, 50}, {100 << 20, 12}, {1 << 40, 10}} {
		if got := gcPercent(c.live); got != c.want {
			t.Errorf("gcPercent(%d) = %d, want %d", c.live, got, c.want)
		}
	}
}

func releasedBytes() uint64 {
	read := []metrics.Sample{{Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(read)
	return read[0].Value.Uint64()
}
