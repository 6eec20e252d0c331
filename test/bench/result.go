package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// result holds the figures of one row, as they are stored beside the page.
type result struct {
	// Date, Commit, Note and Rounds are the origin of the figures; Seconds is how long the row
	// took.
	Date    string  `json:"date"`
	Commit  string  `json:"commit"`
	Note    string  `json:"note,omitempty"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"`
	// Lines are the row's lines in the table of its section.
	Lines [][]string `json:"lines"`
	// Remark is a further observation, printed below the table.
	Remark   string    `json:"remark,omitempty"`
	Verdicts []verdict `json:"verdicts"`
}

// verdict compares a figure with its budget.
type verdict struct {
	Figure   string `json:"what"`
	Budget   string `json:"budget"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
	// MissedBy is the difference to a budget that was missed.
	MissedBy string `json:"off,omitempty"`
}

func (r *result) add(cells ...string) { r.Lines = append(r.Lines, cells) }

// atMost compares the median of rounds with an upper bound; format is for one figure, with its
// unit.
func (r *result) atMost(figure, format string, bound float64, rounds ...float64) {
	r.judge(figure, "at most ", format, bound, quantile(rounds, 0.5) <= bound, rounds)
}

// atLeast compares the median of rounds with a lower bound.
func (r *result) atLeast(figure, format string, bound float64, rounds ...float64) {
	r.judge(figure, "at least ", format, bound, quantile(rounds, 0.5) >= bound, rounds)
}

func (r *result) judge(figure, relation, format string, bound float64, met bool, rounds []float64) {
	median := quantile(rounds, 0.5)
	v := verdict{Figure: figure, Budget: relation + fmt.Sprintf(format, bound), Measured: fmt.Sprintf(format, median), Met: met}
	if len(rounds) > 1 {
		v.Measured = formatSpread(rounds, format)
	}
	if !met {
		v.MissedBy = fmt.Sprintf(format, math.Abs(median-bound))
		if bound != 0 {
			v.MissedBy = fmt.Sprintf("%.0f %%", 100*math.Abs(median-bound)/bound)
		}
	}
	r.Verdicts = append(r.Verdicts, v)
}

// exactly compares a count with its only right value, which noise cannot change. It returns an
// error when they differ.
func (r *result) exactly(figure string, want, got float64) error {
	v := verdict{Figure: figure, Budget: fmt.Sprintf("exactly %g", want), Measured: fmt.Sprintf("%g", got), Met: got == want}
	if !v.Met {
		v.MissedBy = fmt.Sprintf("%g", math.Abs(got-want))
	}
	r.Verdicts = append(r.Verdicts, v)
	if !v.Met {
		return &miscount{v}
	}
	return nil
}

// miscount is the error of a wrong count: the count belongs on the page, and the run fails.
type miscount struct{ verdict }

func (m *miscount) Error() string { return m.Figure + ": " + m.Measured + ", want " + m.Budget }

// quantile returns the q-quantile of samples, by nearest rank; 0 without any.
func quantile[T int | float64 | time.Duration](samples []T, q float64) T {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// formatSpread formats a median with its extremes.
func formatSpread(rounds []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", quantile(rounds, 0.5), slices.Min(rounds), slices.Max(rounds))
}

// quantilesInMs returns the q-quantile of each round.
func quantilesInMs(rounds [][]time.Duration, q float64) []float64 {
	var out []float64
	for _, round := range rounds {
		out = append(out, float64(quantile(round, q))/float64(time.Millisecond))
	}
	return out
}

// ratios divides two series round by round.
func ratios(of, by []float64) []float64 {
	var out []float64
	for i := range of {
		out = append(out, of[i]/by[i])
	}
	return out
}
