package chaos_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mooring-dev/mooring/test/chaos/check"
)

// most is the number of violations that are printed in full.
const most = 10

// report logs the faults and the outcomes, and reports each violation with everything that is known
// of its dispatch.
func (r *rig) report(seed uint64, took time.Duration, h check.History, violations []check.Violation) {
	r.Helper()
	r.Logf("seed %d: %d dispatches to %d machines in %d processes, %d gateways, in %s: %d violations",
		seed, len(h.Asked), len(r.machines), len(r.groups), gateways, took.Round(time.Second), len(violations))
	counts, diary := r.tally()
	r.Logf("faults:%s", table(counts))
	r.Logf("outcomes:%s", table(outcomes(h)))
	for what := range counts {
		if strings.HasPrefix(what, "ended by itself: "+r.namespace) || strings.HasPrefix(what, "not started: ") {
			r.Errorf("%s, %d times", what, counts[what])
		}
	}
	r.Logf("diary:\n%s", strings.Join(diary, "\n"))
	for i, v := range violations {
		if i >= most {
			r.Errorf("%s: %s (%s)", v.Kind, v.Text, v.UID)
			continue
		}
		r.Errorf("%s: %s\n%s", v.Kind, v.Text, story(h, v.UID))
	}
}

// outcomes counts the ends of dispatches and the marks on their machines.
func outcomes(h check.History) map[string]int {
	counts := map[string]int{}
	for _, a := range h.Asked {
		if states := h.Seen[a.UID]; len(states) > 0 {
			last := states[len(states)-1]
			counts[strings.TrimSpace(fmt.Sprintf("%s, %s %s", last.Phase, last.Execution, last.Code))]++
		}
	}
	for _, m := range h.Marks {
		counts["(a run marked its "+m.What+")"]++
	}
	return counts
}

func table(counts map[string]int) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&text, "\n  %6d  %s", counts[name], name)
	}
	return text.String()
}

// story returns everything that is known of one dispatch.
func story(h check.History, uid string) string {
	var text strings.Builder
	clock := func(t time.Time) string { return t.UTC().Format("15:04:05.000") }
	for _, a := range h.Asked {
		if a.UID == uid {
			fmt.Fprintf(&text, "  %s %s for %s, sent %s, stored %s, created %s, expiry %s, run time %s", a.Name, a.UID, a.Machine, clock(a.Began), clock(a.Done), clock(a.Created), a.Expiry, a.Timeout)
			if !a.Cancel.IsZero() {
				fmt.Fprintf(&text, ", cancelled %s", clock(a.Cancel))
			}
			for _, at := range h.Deaths[a.Machine] {
				fmt.Fprintf(&text, "\n  %s its agent was killed", clock(at))
			}
		}
	}
	for _, s := range h.Seen[uid] {
		fmt.Fprintf(&text, "\n  %s seen as %s, %q %s %s", clock(s.Time), s.Phase, s.Execution, s.Code, s.Output)
	}
	for _, m := range h.Marks {
		if m.UID == uid {
			fmt.Fprintf(&text, "\n  %s %s on %s %s%s", clock(m.Time), m.What, m.Machine, m.Output, m.Error)
		}
	}
	return text.String()
}
