package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// rowTimeout ends a row that hangs.
const rowTimeout = 15 * time.Minute

// row is one part of the benchmark.
type row struct {
	name string
	run  func(ctx context.Context, s *suite) (result, error)
}

// rows returns the rows in the order in which they run: first the rows with few machines, then the
// rows with a growing crowd, last the kill of its gateway.
func rows() []row {
	return []row{
		{"latency", measureLatency}, {"throughput", measureThroughput}, {"writes", measureAPIWrites}, {"hop", measureHop}, {"neighbour", measureNeighbour}, {"revocation", measureRevocation},
		{"pairing", measurePairingRate}, {"agent", measureIdleAgent},
		{"idle-small", measureIdle(0)}, {"idle-middle", measureIdle(1)}, {"growth", measureGrowth}, {"idle-large", measureIdle(2)}, {"kill", measureKill},
	}
}

func rowNames() (names []string) {
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

// chooseRows returns the rows that a list names; "idle" stands for all names that begin with "idle-".
func chooseRows(list string) (chosen []row, err error) {
	if list == "" {
		return rows(), nil
	}
	names := strings.Split(list, ",")
	used := map[string]bool{}
	for _, r := range rows() {
		kind, _, _ := strings.Cut(r.name, "-")
		for _, name := range []string{r.name, kind} {
			if slices.Contains(names, name) {
				used[name] = true
				if !slices.ContainsFunc(chosen, func(c row) bool { return c.name == r.name }) {
					chosen = append(chosen, r)
				}
			}
		}
	}
	for _, name := range names {
		if !used[name] {
			return nil, fmt.Errorf("--only %s: there is no row %q, only %s", list, name, strings.Join(rowNames(), ", "))
		}
	}
	return chosen, nil
}
