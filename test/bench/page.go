package main

import (
	"fmt"
	"slices"
	"strings"
)

// section is one table of the page; its rows are printed in the order of rows.
type section struct {
	title, text string
	header      []string
	rows        []string
}

// String returns the page in Markdown.
func (r record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Benchmarks

Written by `+"`make bench`"+` on %s. etcd with fsync, kube-apiserver, controller, gateway, agents and the
measuring client share the machine: the figures are upper bounds. What is compared was measured in one run and in turns. A figure
with others behind it is the median of the rounds, with the lowest and the highest. Times are aims, not tests: only counts fail a run.
`, r.Machine)
	b.WriteString("\n## Budgets\n\n| what | budget | measured | verdict |\n|---|---|---|---|\n")
	for _, s := range sections {
		for _, name := range s.rows {
			for _, v := range r.Rows[name].Verdicts {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", v.Figure, v.Budget, v.Measured, v.text())
			}
		}
	}
	missing := slices.DeleteFunc(rowNames(), func(name string) bool { _, ok := r.Rows[name]; return ok })
	if len(missing) > 0 {
		fmt.Fprintf(&b, "\nNot measured: %s.\n", strings.Join(missing, ", "))
	}
	for _, s := range sections {
		b.WriteString(s.render(r.Rows))
	}
	return b.String()
}

func (v verdict) text() string {
	if v.Met {
		return "met"
	}
	return "**missed** by " + v.MissedBy
}

// render returns the section with the figures of its rows; "" when none of them was measured.
func (s section) render(rows map[string]result) string {
	if !slices.ContainsFunc(s.rows, func(name string) bool { _, ok := rows[name]; return ok }) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n%s\n\n", s.title, s.text)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(s.header, " | "), strings.Repeat("---|", len(s.header)))
	var remarks, origins []string
	for _, name := range s.rows {
		measured, ok := rows[name]
		if !ok {
			continue
		}
		for _, line := range measured.Lines {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		}
		if measured.Remark != "" {
			remarks = append(remarks, measured.Remark)
		}
		if origin := measured.origin(); !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	for _, remark := range remarks {
		fmt.Fprintf(&b, "\n%s\n", remark)
	}
	fmt.Fprintf(&b, "\n*%s.*\n", strings.Join(origins, "; "))
	return b.String()
}

// origin returns the date, commit and rounds of a result, for the line below its table.
func (r result) origin() string {
	text := fmt.Sprintf("%s UTC, commit %s, %d rounds", r.Date, r.Commit, r.Rounds)
	if r.Rounds == 1 {
		text = strings.TrimSuffix(text, "s")
	}
	if r.Note != "" {
		text += ", " + r.Note
	}
	return text
}
