package check

import (
	"fmt"
	"slices"
	"time"
)

// oneCase is all that concerns one dispatch.
type oneCase struct {
	asked        Asked
	states       []State
	starts, ends []Mark
	deaths       []time.Time
}

// cases sorts the history by dispatch. Marks that belong to none, or were found on another machine
// than that of their dispatch, are violations of their own.
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
			foreign = append(foreign, Violation{Foreign, m.UID, fmt.Sprintf("%s noted a %s of what nobody asked for", m.Machine, m.What)})
			continue
		case cases[i].asked.Machine != m.Machine:
			foreign = append(foreign, Violation{Foreign, m.UID, fmt.Sprintf("%s noted a %s of a dispatch for %s", m.Machine, m.What, cases[i].asked.Machine)})
		}
		if m.What == Start {
			cases[i].starts = append(cases[i].starts, m)
		} else {
			cases[i].ends = append(cases[i].ends, m)
		}
	}
	return cases, foreign
}

// last is the final state; zero when none was seen.
func (c *oneCase) last() State {
	if len(c.states) == 0 {
		return State{}
	}
	return c.states[len(c.states)-1]
}

// died tells whether the agent was killed within the time.
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

// by tells whether one of the marks was there at a moment.
func by(marks []Mark, moment time.Time) bool {
	return slices.ContainsFunc(marks, func(m Mark) bool { return !m.Time.After(moment) })
}
