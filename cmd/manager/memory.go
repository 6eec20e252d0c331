package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// returnEvery is how often a gateway looks whether it holds memory that nobody needs. A machine
// that idles allocates about half a KiB in that time, for its sign of life.
const returnEvery = 15 * time.Second

// returnMemory gives what the heap has grown to, and does not hold any more, back to the system
// whenever machines idle, until ctx ends. What a gateway holds then are connections that live for
// days; the collector alone would keep as much room again for them, and hold the peak of every
// storm of reconnections. Under load it runs often enough by itself.
func returnMemory(ctx context.Context) error {
	tick := time.NewTicker(returnEvery)
	defer tick.Stop()
	h := &heap{}
	for {
		select {
		case <-tick.C:
			h.rest()
		case <-ctx.Done():
			return nil
		}
	}
}

// heap is that of the process, as it was when looked at last.
type heap struct{ allocated uint64 }

// rest collects and gives back, if less was allocated since the last look than what lives: the
// collector would not run as often by itself, and one collection more is cheap. Unless $GOGC says
// how much garbage may lie, that follows the heap, too.
func (h *heap) rest() bool {
	read := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(read)
	total, live := read[0].Value.Uint64(), read[1].Value.Uint64()
	since := total - h.allocated
	h.allocated = total
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent(live))
	}
	if since >= live {
		return false
	}
	debug.FreeOSMemory()
	return true
}

// room is how many bytes a heap may grow beyond what lives before it is collected, and least how many
// percent of what lives it may always grow: a collection costs what lives.
const (
	room  = 12 << 20
	least = 10
)

// percent is GOGC for a heap in which so many bytes live: Go's own 100 while they are few, then less
// and less. Connections that live for days are born among garbage; the more of it is let lie, the
// more pages are kept for a few of them each.
func percent(live uint64) int {
	return int(min(100, max(least, room*100/max(live, 1))))
}
