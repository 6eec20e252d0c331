package check

import (
	"fmt"
	"slices"
	"time"
)

// dispatchCase holds the part of a History that concerns one dispatch.
type dispatchCase struct {
	request      Request
	states       []State
	starts, ends []Mark
	kills        []time.Time
}

// cases splits the history by dispatch. It returns a violation for each mark of an unknown
// dispatch, and for each mark on another machine than the machine of its dispatch.
func (h History) cases() (cases []dispatchCase, foreign []Violation) {
	index := map[string]int{}
	for i, a := range h.Requests {
		index[a.UID] = i
		cases = append(cases, dispatchCase{request: a, states: h.States[a.UID], kills: h.Kills[a.Machine]})
	}
	for _, m := range h.Marks {
		i, known := index[m.UID]
		switch {
		case !known:
			foreign = append(foreign, Violation{Foreign, m.UID, fmt.Sprintf("%s marked the %s of a dispatch that was never requested", m.Machine, m.Event)})
			continue
		case cases[i].request.Machine != m.Machine:
			foreign = append(foreign, Violation{Foreign, m.UID, fmt.Sprintf("%s marked the %s of a dispatch for %s", m.Machine, m.Event, cases[i].request.Machine)})
		}
		if m.Event == Start {
			cases[i].starts = append(cases[i].starts, m)
		} else {
			cases[i].ends = append(cases[i].ends, m)
		}
	}
	return cases, foreign
}

// lastState returns the final state; zero when none was seen.
func (c *dispatchCase) lastState() State {
	if len(c.states) == 0 {
		return State{}
	}
	return c.states[len(c.states)-1]
}

// agentKilledBetween reports whether the agent was killed between two moments.
func (c *dispatchCase) agentKilledBetween(from, to time.Time) bool {
	return slices.ContainsFunc(c.kills, func(at time.Time) bool { return !at.Before(from) && !at.After(to) })
}

func terminal(phase string) bool {
	switch phase {
	case "Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled":
		return true
	}
	return false
}

// markedUntil reports whether one of the marks was written at the moment or before.
func markedUntil(marks []Mark, moment time.Time) bool {
	return slices.ContainsFunc(marks, func(m Mark) bool { return !m.Time.After(moment) })
}
