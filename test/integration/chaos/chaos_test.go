package chaos_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/test/chaos/check"
)

// ciSized returns ci, the count for continuous integration, or full when the tests run in full size.
func ciSized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// chaosSeed returns MOORING_CHAOS_SEED, or else a new seed in full size and always the same one in
// continuous integration. The seed decides which dispatches are requested and which faults happen
// when; it does not decide how processes are scheduled.
func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("MOORING_CHAOS_SEED")
	if text == "" {
		return 1 + rand.Uint64N(uint64(ciSized(1, 1_000_000)))
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("MOORING_CHAOS_SEED: %v", err)
	}
	return seed
}

// Processes are killed while thousands of dispatches are requested. Each dispatch ends, none runs
// twice, and each status agrees with the marks of the machines.
func TestNothingIsLostRunTwiceOrUntrueWhateverDies(t *testing.T) {
	seed := chaosSeed(t)
	t.Logf("MOORING_CHAOS_SEED=%d", seed)
	full := ciSized(0, 1) == 1
	net := newNetwork(t)
	r := newRig(t, net.entry.Address(), ciSized(4, 20), ciSized(3, 10))
	r.awaitOnline()
	m := &faultInjector{parts: r.parts, network: net, random: rand.New(rand.NewPCG(seed, 1)), groups: r.groups, replicas: r.all[len(r.all)-gateways:],
		controller: r.all[len(r.groups)], pause: 3 * time.Second, cut: 9 * time.Second,
		faults: []string{killAgents, killAgents, killGateway, killController, killAPIServer, killEtcd, cutUplink, cutFront}}
	if full {
		m.pause, m.cut = 6*time.Second, 25*time.Second
		m.faults = append(m.faults, killAgents, killAgents, killAgents, killAgents, killGateway, killGateway)
	}
	all := drawRequests(rand.New(rand.NewPCG(seed, 2)), r.machines, ciSized(300, 10_000), float64(ciSized(9, 20)))
	began := time.Now()
	var asking sync.WaitGroup
	stored := make(chan struct{})
	asking.Go(func() {
		defer close(stored)
		if err := r.createAll(t.Context(), all); err != nil {
			t.Errorf("ask: %v", err)
		}
	})
	if err := m.run(t.Context(), stored, full); err != nil {
		t.Error(err)
	}
	asking.Wait()
	// At the end all machines are killed at once. This also shortens the wait for machines that
	// were often cut off and now retry rarely.
	for _, group := range r.groups {
		r.kill(group, killAgents)
	}
	h, violations := r.awaitVerdict(check.Lost, check.ResultLost)
	r.reportResults(seed, time.Since(began), h, violations)
	if len(h.Requests) != len(all) {
		t.Errorf("%d of %d dispatches were asked for", len(h.Requests), len(all))
	}
	counts, _ := r.snapshot()
	for _, fault := range m.faults {
		if counts[fault] == 0 {
			t.Errorf("no %s: the test proves nothing", fault)
		}
	}
}
