package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// progressEvery is how often Watch prints a line.
const progressEvery = time.Second

// Summary is what became of a run.
type Summary struct {
	// Agents is how many there are, Online how many have a session, Sessions how many opened.
	Agents   int `json:"agents"`
	Online   int `json:"online"`
	Sessions int `json:"sessions"`
	// Storms is how often every connection was broken at once, BackSeconds how long all took to
	// be back after each.
	Storms      int       `json:"storms"`
	BackSeconds []float64 `json:"backSeconds,omitempty"`
	// IssueSeconds and RampSeconds are how long identities and first sessions took.
	IssueSeconds float64 `json:"issueSeconds"`
	RampSeconds  float64 `json:"rampSeconds"`
	// Reasons are why sessions ended, for agents that are not online.
	Reasons map[string]int `json:"reasons,omitempty"`
}

// Summarise counts as things stand.
func (f *Fleet) Summarise() Summary {
	s := Summary{Reasons: map[string]int{}}
	for _, a := range f.Agents() {
		s.Agents++
		s.Sessions += a.Sessions()
		if a.Online() {
			s.Online++
		} else if _, reason := a.Ended(); reason != "" {
			s.Reasons[reason]++
		}
	}
	return s
}

// Write prints the summary as one JSON object.
func (s Summary) Write(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

// Watch prints a line about the fleet every second, over the last one, until ctx ends.
func (f *Fleet) Watch(ctx context.Context, out io.Writer) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-tick.C:
			s := f.Summarise()
			fmt.Fprintf(out, "\r%6s  %5d agents  %5d online  %6d sessions ", time.Since(began).Round(time.Second), s.Agents, s.Online, s.Sessions)
		case <-ctx.Done():
			fmt.Fprintln(out)
			return
		}
	}
}
