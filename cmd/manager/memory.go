package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// returnInterval is the interval at which a gateway checks for unused memory. An idle machine
// allocates about half a KiB in that time, for its sign of life.
const returnInterval = 15 * time.Second

// returnMemory returns unused heap memory to the system whenever machines idle, until ctx ends. A
// gateway then holds connections that live for days. The garbage collector alone would keep the
// same amount again as headroom, and the peak of every storm of reconnections. Under load it runs
// often enough by itself.
func returnMemory(ctx context.Context) error {
	tick := time.NewTicker(returnInterval)
	defer tick.Stop()
	h := &heap{}
	for {
		select {
		case <-tick.C:
			h.collectGarbage()
		case <-ctx.Done():
			return nil
		}
	}
}

// heap holds the number of bytes that the process had allocated until the last check.
type heap struct{ allocated uint64 }

// collectGarbage collects garbage and returns memory if less was allocated since the last check
// than the live heap. The collector would not run as often by itself, and one more collection is
// cheap. Unless $GOGC is set, collectGarbage also adapts the GC percentage to the live heap.
func (h *heap) collectGarbage() bool {
	read := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(read)
	total, live := read[0].Value.Uint64(), read[1].Value.Uint64()
	since := total - h.allocated
	h.allocated = total
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent(live))
	}
	if since >= live {
		return false
	}
	debug.FreeOSMemory()
	return true
}

// gcHeadroom is the number of bytes that a heap may grow beyond the live heap before it is
// collected. minGCPercent is the percentage of the live heap that it may always grow, because the
// cost of a collection depends on the live heap.
const (
	gcHeadroom   = 12 << 20
	minGCPercent = 10
)

// gcPercent returns GOGC for a live heap of that many bytes: Go's default of 100 for a small heap,
// then less and less. Connections that live for days are allocated among garbage. The more garbage
// may accumulate, the more pages stay in use for a few connections each.
func gcPercent(live uint64) int {
	return int(min(100, max(minGCPercent, gcHeadroom*100/max(live, 1))))
}
