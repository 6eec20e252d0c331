package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// section is one table of the report.
type section struct {
	title, text string
	header      []string
	lines       [][]string
}

func (s *section) add(cells ...string) { s.lines = append(s.lines, cells) }

// String is the section in Markdown.
func (s section) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.title, s.text)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(s.header, " | "), strings.Repeat("---|", len(s.header)))
	for _, line := range s.lines {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
	}
	return b.String()
}

// preamble says what the figures were measured on.
func preamble(o options) string {
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	note := o.note
	if note != "" {
		note = " " + note
	}
	return fmt.Sprintf(`# Benchmarks

Written by `+"`make bench`"+` on %s, commit %s, %d processors (%s), %s.%s etcd with fsync, kube-apiserver, controller,
gateway, the agents and the measuring client share the machine: the figures are upper bounds. Each figure is the median of
%d rounds, with the lowest and the highest round behind it; what is compared was measured in turns. Targets are aims, not tests.
`, time.Now().UTC().Format(time.DateOnly), strings.TrimSpace(string(commit)), runtime.NumCPU(), processor(), runtime.Version(), note, o.rounds)
}

// processor is the model name of the machine's processor.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, rest, _ := strings.Cut(string(text), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Trim(line, "\t :")
}

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
