package chaos_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/test/chaos/check"
)

// maxPrinted is the number of violations that are printed in full.
const maxPrinted = 10

// reportResults logs the faults and the outcomes, and reports each violation with everything that is known
// of its dispatch.
func (r *rig) reportResults(seed uint64, took time.Duration, h check.History, violations []check.Violation) {
	r.Helper()
	r.Logf("seed %d: %d dispatches to %d machines in %d processes, %d gateways, in %s: %d violations",
		seed, len(h.Requests), len(r.machines), len(r.groups), gateways, took.Round(time.Second), len(violations))
	counts, diary := r.snapshot()
	r.Logf("faults:%s", formatCounts(counts))
	r.Logf("outcomes:%s", formatCounts(countOutcomes(h)))
	for event := range counts {
		if strings.HasPrefix(event, "ended by itself: "+r.namespace) || strings.HasPrefix(event, "not started: ") {
			r.Errorf("%s, %d times", event, counts[event])
		}
	}
	r.Logf("diary:\n%s", strings.Join(diary, "\n"))
	for i, v := range violations {
		if i >= maxPrinted {
			r.Errorf("%s: %s (%s)", v.Kind, v.Text, v.UID)
			continue
		}
		r.Errorf("%s: %s\n%s", v.Kind, v.Text, formatHistory(h, v.UID))
	}
}

// countOutcomes counts the ends of dispatches and the marks on their machines.
func countOutcomes(h check.History) map[string]int {
	counts := map[string]int{}
	for _, a := range h.Requests {
		if states := h.States[a.UID]; len(states) > 0 {
			last := states[len(states)-1]
			counts[strings.TrimSpace(fmt.Sprintf("%s, %s %s", last.Phase, last.Execution, last.Code))]++
		}
	}
	for _, m := range h.Marks {
		counts["(a run marked its "+m.Event+")"]++
	}
	return counts
}

func formatCounts(counts map[string]int) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&text, "\n  %6d  %s", counts[name], name)
	}
	return text.String()
}

// formatHistory returns everything that is known of one dispatch.
func formatHistory(h check.History, uid string) string {
	var text strings.Builder
	clock := func(t time.Time) string { return t.UTC().Format("15:04:05.000") }
	for _, a := range h.Requests {
		if a.UID == uid {
			fmt.Fprintf(&text, "  %s %s for %s, sent %s, stored %s, created %s, expiry %s, run time %s", a.Name, a.UID, a.Machine, clock(a.CreateSent), clock(a.CreateDone), clock(a.Created), a.Expiry, a.Timeout)
			if !a.Cancel.IsZero() {
				fmt.Fprintf(&text, ", cancelled %s", clock(a.Cancel))
			}
			for _, at := range h.Kills[a.Machine] {
				fmt.Fprintf(&text, "\n  %s its agent was killed", clock(at))
			}
		}
	}
	for _, s := range h.States[uid] {
		fmt.Fprintf(&text, "\n  %s seen as %s, %q %s %s", clock(s.Time), s.Phase, s.Execution, s.Code, s.Output)
	}
	for _, m := range h.Marks {
		if m.UID == uid {
			fmt.Fprintf(&text, "\n  %s %s on %s %s%s", clock(m.Time), m.Event, m.Machine, m.Output, m.Error)
		}
	}
	return text.String()
}
