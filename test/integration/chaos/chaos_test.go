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

// sized returns ci, the count for continuous integration, or full when the tests run in full size.
func sized(ci, full int) int {
	if os.Getenv("MOORING_TEST_SIZE") == "full" {
		return full
	}
	return ci
}

// seedOf returns MOORING_CHAOS_SEED, or else a new seed in full size and always the same one in
// continuous integration. The seed decides which dispatches are requested and which faults happen
// when; it does not decide how processes are scheduled.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("MOORING_CHAOS_SEED")
	if text == "" {
		return 1 + rand.Uint64N(uint64(sized(1, 1_000_000)))
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
	seed := seedOf(t)
	t.Logf("MOORING_CHAOS_SEED=%d", seed)
	full := sized(0, 1) == 1
	net := newNetwork(t)
	r := newRig(t, net.front.Address(), sized(4, 20), sized(3, 10))
	r.online()
	m := &monkey{parts: r.parts, network: net, random: rand.New(rand.NewPCG(seed, 1)), groups: r.groups, replicas: r.all[len(r.all)-gateways:],
		controller: r.all[len(r.groups)], pause: 3 * time.Second, cut: 9 * time.Second,
		bag: []string{killAgents, killAgents, killGateway, killController, killAPIServer, killEtcd, cutUplink, cutFront}}
	if full {
		m.pause, m.cut = 6*time.Second, 25*time.Second
		m.bag = append(m.bag, killAgents, killAgents, killAgents, killAgents, killGateway, killGateway)
	}
	all := wishes(rand.New(rand.NewPCG(seed, 2)), r.machines, sized(300, 10_000), float64(sized(9, 20)))
	began := time.Now()
	var asking sync.WaitGroup
	stored := make(chan struct{})
	asking.Go(func() {
		defer close(stored)
		if err := r.ask(t.Context(), all); err != nil {
			t.Errorf("ask: %v", err)
		}
	})
	if err := m.rage(t.Context(), stored, full); err != nil {
		t.Error(err)
	}
	asking.Wait()
	// At the end all machines are killed at once. This also shortens the wait for machines that
	// were often cut off and now retry rarely.
	for _, group := range r.groups {
		r.kill(group, killAgents)
	}
	h, violations := r.verdict(check.Lost, check.ResultLost)
	r.report(seed, time.Since(began), h, violations)
	if len(h.Asked) != len(all) {
		t.Errorf("%d of %d dispatches were asked for", len(h.Asked), len(all))
	}
	counts, _ := r.tally()
	for _, deed := range m.bag {
		if counts[deed] == 0 {
			t.Errorf("no %s: the test proves nothing", deed)
		}
	}
}
