package chaos_test

import (
	"testing"

	"github.com/mooring-dev/mooring/hack/dev/poll"
	"github.com/mooring-dev/mooring/test/chaos/check"
	"github.com/mooring-dev/mooring/test/chaos/witness"
)

// The rig itself could miss violations. The test checks that it finds the violations of agents that
// have a bug, and none of the same agents without the bug.
func TestABugInTheAgentsIsFound(t *testing.T) {
	for _, planted := range []struct {
		name string
		args []string
		want check.Kind
	}{
		{name: "none"},
		{"a run that began is forgotten", []string{"--bug", "deny"}, check.RanThoughNotStarted},
		{"the whole journal is lost", []string{"--bug", "forget"}, check.NoCause},
		{"an interrupted run is repeated", []string{"--bug", "rerun"}, check.RunTwice},
	} {
		t.Run(planted.name, func(t *testing.T) {
			r := newRig(t, system.NodeEndpoint, 2, 2, planted.args...)
			r.awaitOnline()
			var all []request
			for _, machine := range r.machines {
				all = append(all, request{name: "long-" + machine, machine: machine, timeoutSeconds: 3600, expiry: 3600,
					input: witness.Input{SleepMilliseconds: 3_600_000}}) // ends only with a crash
			}
			if err := r.createAll(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			r.awaitStarts(len(all))
			for _, group := range r.groups {
				r.kill(group, killAgents)
			}
			_, found := r.awaitVerdict(check.Lost)
			kinds := map[check.Kind]int{}
			for _, v := range found {
				kinds[v.Kind]++
			}
			t.Logf("found %v", kinds)
			if planted.want == "" && len(found) > 0 || planted.want != "" && kinds[planted.want] != len(all) {
				t.Errorf("found %v, want %q of each of the %d dispatches", kinds, planted.want, len(all))
			}
		})
	}
}

// awaitStarts waits until count runs have begun.
func (r *rig) awaitStarts(count int) {
	r.Helper()
	starts := 0
	err := poll.UntilTrue(r.boundedContext(), func() bool {
		marks, err := witness.ReadMarks(r.marks)
		if err != nil {
			return false // a line that is being written
		}
		starts = len(marks)
		return starts >= count
	})
	if err != nil {
		r.Fatalf("%d of %d runs began: %v", starts, count, err)
	}
}
