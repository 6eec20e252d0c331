package main

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// result is what one row measured, as it is kept beside the page.
type result struct {
	// Date, Commit, Note and Rounds say where it comes from; Seconds is how long it took.
	Date    string  `json:"date"`
	Commit  string  `json:"commit"`
	Note    string  `json:"note,omitempty"`
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds"`
	// Lines are those of the row in the table of its section.
	Lines [][]string `json:"lines"`
	// Remark is what else was seen, for below the table.
	Remark   string    `json:"remark,omitempty"`
	Verdicts []verdict `json:"verdicts"`
}

// verdict compares a figure with its budget.
type verdict struct {
	What     string `json:"what"`
	Budget   string `json:"budget"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
	// Off is by how much it was missed.
	Off string `json:"off,omitempty"`
}

func (r *result) add(cells ...string) { r.Lines = append(r.Lines, cells) }

// atMost judges the median of rounds against an upper bound; format is for one figure, with unit.
func (r *result) atMost(what, format string, bound float64, rounds ...float64) {
	r.judge(what, "at most ", format, bound, quantile(rounds, 0.5) <= bound, rounds)
}

// atLeast judges against a lower bound.
func (r *result) atLeast(what, format string, bound float64, rounds ...float64) {
	r.judge(what, "at least ", format, bound, quantile(rounds, 0.5) >= bound, rounds)
}

func (r *result) judge(what, relation, format string, bound float64, met bool, rounds []float64) {
	median := quantile(rounds, 0.5)
	v := verdict{What: what, Budget: relation + fmt.Sprintf(format, bound), Measured: fmt.Sprintf(format, median), Met: met}
	if len(rounds) > 1 {
		v.Measured = spread(rounds, format)
	}
	if !met {
		v.Off = fmt.Sprintf(format, math.Abs(median-bound))
		if bound != 0 {
			v.Off = fmt.Sprintf("%.0f %%", 100*math.Abs(median-bound)/bound)
		}
	}
	r.Verdicts = append(r.Verdicts, v)
}

// exactly judges a count that has one right value, and errs when it is another: noise cannot
// change it.
func (r *result) exactly(what string, want, got float64) error {
	v := verdict{What: what, Budget: fmt.Sprintf("exactly %g", want), Measured: fmt.Sprintf("%g", got), Met: got == want}
	if !v.Met {
		v.Off = fmt.Sprintf("%g", math.Abs(got-want))
	}
	r.Verdicts = append(r.Verdicts, v)
	if !v.Met {
		return &miscount{v}
	}
	return nil
}

// miscount is a count that is wrong: it belongs into the report, and the run has failed.
type miscount struct{ verdict }

func (m *miscount) Error() string { return m.What + ": " + m.Measured + ", want " + m.Budget }

// quantile is the q-quantile of samples, by nearest rank; 0 without any.
func quantile[T int | float64 | time.Duration](samples []T, q float64) T {
	if len(samples) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

// spread is a median and its extremes.
func spread(rounds []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+"–"+format+")", quantile(rounds, 0.5), slices.Min(rounds), slices.Max(rounds))
}

// milliseconds are the q-quantiles of each round.
func milliseconds(rounds [][]time.Duration, q float64) []float64 {
	var out []float64
	for _, round := range rounds {
		out = append(out, float64(quantile(round, q))/float64(time.Millisecond))
	}
	return out
}

// ratios divide two series round by round.
func ratios(of, by []float64) []float64 {
	var out []float64
	for i := range of {
		out = append(out, of[i]/by[i])
	}
	return out
}
