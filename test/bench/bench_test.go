package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mooring-dev/mooring/test/sim"
)

// minPollRatio is the least ratio of a poll once a second to a dispatch, on any machine. The budget's
// 30 would need an unloaded one.
const minPollRatio = 10

// The test runs the benchmark itself, with tiny counts, on one small system: the counts have to be
// right. The machines have slow connections that stall, and they send results twice. Still no
// dispatch is lost and none runs twice when the gateway is killed.
func TestTheBenchmarkCountsRight(t *testing.T) {
	log.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	counts := quick()
	counts.idle, counts.growth, counts.rounds, counts.window = []int{12}, []int{12}, 1, time.Second
	s := &suite{options: options{out: t.TempDir() + "/benchmarks.md"}, sizes: counts,
		faults: sim.Faults{Slow: time.Millisecond, Stall: 100 * time.Millisecond, Duplicate: 0.5}}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	// The crowd starts first, so that all rows share its system.
	if _, err := s.growCrowd(ctx, counts.idle[0]); err != nil {
		t.Fatal(err)
	}
	chosen, err := chooseRows("writes,idle-small,growth,kill")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(ctx, chosen); err != nil {
		t.Fatal(err)
	}
	kept, err := readRecord(s.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range chosen {
		if len(kept.Rows[r.name].Lines) == 0 {
			t.Errorf("row %s measured nothing", r.name)
		}
	}
	if got := s.large.crowd.Summarise(); got.Duplicated == 0 || got.Ran == 0 || got.RanTwice != 0 {
		t.Errorf("the machines ran %d dispatches, %d twice, and sent %d results twice", got.Ran, got.RanTwice, got.Duplicated)
	}
	checkPollingIsSlower(ctx, t, s)
	// The kill comes last, because nothing starts the controller again.
	s.large.Controller.Kill()
	if err := s.large.grow(ctx, counts.idle[0]+1, 1); err == nil || !strings.Contains(err.Error(), "the controller ended") {
		t.Errorf("growing without a controller: %v", err)
	}
}

// checkPollingIsSlower fails the test unless a dispatch that is polled once a second takes much longer than
// one that is watched.
func checkPollingIsSlower(ctx context.Context, t *testing.T, s *suite) {
	a, err := s.large.newArms(ctx)
	if err != nil {
		t.Fatal(err)
	}
	round, err := a.latencyRound(ctx, 6, 2)
	if err := a.close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	own, polled := quantile(round[a.mooring], 0.5), quantile(round[a.polled], 0.5)
	if polled < minPollRatio*own {
		t.Errorf("a poll a second took %s, a dispatch %s: want %d times as much", polled, own, minPollRatio)
	}
}
