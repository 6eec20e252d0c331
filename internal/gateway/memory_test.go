package gateway

import (
	"bytes"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"

	gatewayv1 "github.com/mooring-dev/mooring/api/proto/mooring/gateway/v1"
)

const (
	// goroutinesPerStream counts the handler and three goroutines of grpc-go's transport: it reads,
	// writes, and checks whether the peer is alive.
	goroutinesPerStream = 4
	// bytesPerStream bounds the live heap of one stream, without stacks. It is 19 KiB today.
	bytesPerStream = 21 << 10
)

// TestAnIdleStreamCostsSoManyGoroutinesAndBytes bounds the cost of a connected machine, because
// tens of thousands idle for days. It counts allocations by their stacks. The machines, which run
// in this process too, therefore make no difference.
func TestAnIdleStreamCostsSoManyGoroutinesAndBytes(t *testing.T) {
	defer func(rate int) { runtime.MemProfileRate = rate }(runtime.MemProfileRate)
	runtime.MemProfileRate = 1 // every allocation from here on
	r := startGateway(t)
	connected := 0
	connect := func() {
		connected++
		client := r.nodeClient(t, r.deviceCA.IssueDeviceTLS(t, machineNumber(connected)))
		if _, err := client.RegisterNode(t.Context(), &gatewayv1.RegisterNodeRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := client.StreamNodeEvents(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	settle := func(streams int) {
		t.Helper()
		soon.True(t, "each stream has four goroutines", func() bool { return goroutinesOfGateway(t) == streams*goroutinesPerStream })
	}
	settle(0)
	connect() // The first stream pays for the allocations that happen once.
	settle(1)
	before := bytesOfGateway(t)
	const many = 40
	for range many {
		connect()
	}
	settle(1 + many)
	each := (bytesOfGateway(t) - before) / many
	t.Logf("%d bytes each", each)
	if each > bytesPerStream {
		t.Errorf("an idle stream keeps %d bytes of heap, want at most %d", each, bytesPerStream)
	}
}

// ofGateway reports whether a stack belongs to the gateway and not to the machines.
func ofGateway(stack string) bool {
	for _, code := range []string{"transport.NewServerTransport", "transport.(*http2Server)", "grpc.(*Server)"} {
		if strings.Contains(stack, code) {
			return true
		}
	}
	return false
}

// goroutinesOfGateway counts the goroutines that exist for connections.
func goroutinesOfGateway(t *testing.T) (count int) {
	t.Helper()
	var dump bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&dump, 2); err != nil {
		t.Fatal(err)
	}
	for stack := range strings.SplitSeq(dump.String(), "\n\n") {
		if ofGateway(stack) && !strings.Contains(stack, "grpc.(*Server).Serve(") {
			count++
		}
	}
	return count
}

// bytesOfGateway returns the bytes that the gateway allocated for connections and that are still in
// use.
func bytesOfGateway(t *testing.T) (live int64) {
	t.Helper()
	for range 3 { // A pool drops its unused items in the second collection.
		runtime.GC()
	}
	records := make([]runtime.MemProfileRecord, 1<<17)
	n, ok := runtime.MemProfile(records, false)
	if !ok {
		t.Fatalf("%d places allocate, more than were asked for", n)
	}
	for _, record := range records[:n] {
		frames := runtime.CallersFrames(record.Stack())
		for frame, more := frames.Next(); ; frame, more = frames.Next() {
			if ofGateway(frame.Function) {
				live += record.InUseBytes()
				break
			}
			if !more {
				break
			}
		}
	}
	return live
}
