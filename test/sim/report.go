package sim

import (
	"encoding/json"
	"io"
)

// Summary holds the counts of a run.
type Summary struct {
	// Namespaces are the namespaces of the Fleets. AgentsIn is the number of agents in each; their
	// names are AgentName(0) and up.
	Namespaces []string `json:"namespaces"`
	AgentsIn   []int    `json:"agentsIn"`
	// Agents is the number of agents, Online how many of them have a session, Sessions how many
	// sessions opened.
	Agents   int `json:"agents"`
	Online   int `json:"online"`
	Sessions int `json:"sessions"`
	// Ran is the number of dispatches of CountCapability that ran, `RanTwice` how many of them ran more
	// than once.
	Ran      int `json:"ran"`
	RanTwice int `json:"twice"`
	// Storms is how often every connection was broken at once. `ReconnectSeconds` is the time until all
	// agents had a session again after each storm.
	Storms           int       `json:"storms"`
	ReconnectSeconds []float64 `json:"backSeconds,omitempty"`
	// RampSeconds is the time until all agents had an identity and a first session.
	RampSeconds float64 `json:"rampSeconds"`
	// Stalled, Dropped and Duplicated count the Faults that happened.
	Stalled    int64 `json:"stalled"`
	Dropped    int64 `json:"dropped"`
	Duplicated int64 `json:"duplicated"`
	// Reasons counts the end reasons of the last sessions of agents that are not online.
	Reasons map[string]int `json:"reasons,omitempty"`
}

// Summarise returns the present counts.
func (f *Fleet) Summarise() Summary {
	s := Summary{Reasons: map[string]int{}, Stalled: f.faultCounters.stalled.Load(), Dropped: f.faultCounters.dropped.Load(), Duplicated: f.faultCounters.duplicated.Load()}
	for _, a := range f.Agents() {
		s.Agents++
		s.Sessions += a.Sessions()
		if a.Online() {
			s.Online++
		} else if _, reason := a.Ended(); reason != "" {
			s.Reasons[reason]++
		}
	}
	for _, extra := range f.Extra {
		if counter, ok := extra.(*Counter); ok {
			s.Ran, s.RanTwice = counter.Totals()
		}
	}
	s.Namespaces, s.AgentsIn = []string{f.Namespace}, []int{s.Agents}
	return s
}

// add adds the counts of another Fleet.
func (s *Summary) add(other Summary) {
	s.Namespaces, s.AgentsIn = append(s.Namespaces, other.Namespaces...), append(s.AgentsIn, other.AgentsIn...)
	s.Agents, s.Online, s.Sessions = s.Agents+other.Agents, s.Online+other.Online, s.Sessions+other.Sessions
	s.Ran, s.RanTwice = s.Ran+other.Ran, s.RanTwice+other.RanTwice
	s.Stalled, s.Dropped, s.Duplicated = s.Stalled+other.Stalled, s.Dropped+other.Dropped, s.Duplicated+other.Duplicated
	for reason, n := range other.Reasons {
		if s.Reasons == nil {
			s.Reasons = map[string]int{}
		}
		s.Reasons[reason] += n
	}
}

// Write prints the summary as one JSON object.
func (s Summary) Write(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}
