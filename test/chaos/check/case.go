package check

import (
	"fmt"
	"slices"
	"time"
)

// oneCase holds the part of a History that concerns one dispatch.
type oneCase struct {
	asked        Asked
	states       []State
	starts, ends []Mark
	deaths       []time.Time
}

// cases splits the history by dispatch. It returns a violation for each mark of an unknown
// dispatch, and for each mark on another machine than the machine of its dispatch.
func (h History) cases() (cases []oneCase, foreign []Violation) {
	index := map[string]int{}
	for i, a := range h.Asked {
		index[a.UID] = i
		cases = append(cases, oneCase{asked: a, states: h.Seen[a.UID], deaths: h.Deaths[a.Machine]})
	}
	for _, m := range h.Marks {
		i, known := index[m.UID]
		switch {
		case !known:
			foreign = append(foreign, Violation{Foreign, m.UID, fmt.Sprintf("%s marked the %s of a dispatch that was never requested", m.Machine, m.What)})
			continue
		case cases[i].asked.Machine != m.Machine:
			foreign = append(foreign, Violation{Foreign, m.UID, fmt.Sprintf("%s marked the %s of a dispatch for %s", m.Machine, m.What, cases[i].asked.Machine)})
		}
		if m.What == Start {
			cases[i].starts = append(cases[i].starts, m)
		} else {
			cases[i].ends = append(cases[i].ends, m)
		}
	}
	return cases, foreign
}

// last returns the final state; zero when none was seen.
func (c *oneCase) last() State {
	if len(c.states) == 0 {
		return State{}
	}
	return c.states[len(c.states)-1]
}

// died reports whether the agent was killed between two moments.
func (c *oneCase) died(from, to time.Time) bool {
	return slices.ContainsFunc(c.deaths, func(at time.Time) bool { return !at.Before(from) && !at.After(to) })
}

func terminal(phase string) bool {
	switch phase {
	case "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled":
		return true
	}
	return false
}

// by reports whether one of the marks was written at the moment or before.
func by(marks []Mark, moment time.Time) bool {
	return slices.ContainsFunc(marks, func(m Mark) bool { return !m.Time.After(moment) })
}
