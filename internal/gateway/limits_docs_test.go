package gateway

import (
	"fmt"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/mooring-dev/mooring/internal/gateway/ratelimit"
)

func quotaText(q ratelimit.Rate) string { return fmt.Sprintf("%d, %s", q.Burst, q.Every) }

// callColumns are the columns of the table of the calls of a Node.
var callColumns = []string{"method", "at once, then one every", "processor", "reads of the API server", "writes"}

// Each method of the node listener has a row that names the bound of each cost. A cell may refer to
// the row of another method.
func TestEveryMethodHasABoundForEachCost(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "| "+strings.Join(callColumns, " | ")+" |\n")
	if !ok {
		t.Fatalf("docs/reference/limits.md has no table with the columns %q", callColumns)
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := map[string][]string{} // by method
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows[cells[0]] = cells
	}
	delete(rows, "---")
	for name, row := range methods {
		method := "`" + path.Base(name) + "`"
		if row.caller == pinnedMachine {
			checkCallRow(t, method, rows)
			delete(rows, method)
		}
	}
	for method := range rows {
		t.Errorf("docs/reference/limits.md has a row for %s, which the node listener does not serve", method)
	}
}

// checkCallRow checks that each cell in the row of a method has a content.
func checkCallRow(t *testing.T, method string, rows map[string][]string) {
	t.Helper()
	cells := rows[method]
	if len(cells) != len(callColumns) {
		t.Errorf("docs/reference/limits.md has %d cells for %s, want %d", len(cells), method, len(callColumns))
		return
	}
	for i, cell := range cells {
		if strings.Trim(cell, "-– ") == "" {
			t.Errorf("docs/reference/limits.md has nothing in column %q of %s: name the budget, or write none", callColumns[i], method)
		}
	}
}

// A change of a limit must also change the page that operators read.
func TestTheLimitsAreTheOnesInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{} // by limit
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			rows[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[2])
		}
	}
	kib := func(bytes int) string { return fmt.Sprintf("%d KiB", bytes>>10) }
	pair := func(a, b any) string { return fmt.Sprintf("%v, %v", a, b) }
	limits := DefaultLimits()
	for name, row := range methods {
		if method := "`" + path.Base(name) + "`"; row.caller == pinnedMachine && rows[method] != quotaText(row.byNode) {
			t.Errorf("docs/reference/limits.md says %q of %s, the code %q", rows[method], method, quotaText(row.byNode))
		}
	}
	for limit, want := range map[string]string{
		"calls open on one connection, pairing and node listener":                             pair(maxPairingStreams, maxStreams),
		"places of the pairing listener that are kept for addresses with an admitted request": fmt.Sprint(limits.TotalPairingConnections / 4),
		"addresses with an admitted request that are remembered, for":                         pair(maxProvenSources, provenFor),
		"a machine that has begun to pair keeps its place at least for":                       advanceGrace.String(),
		"lines about refused handshakes in the log of a listener, a second, and at once":      pair(refusalsPerSecond, refusalBurst),
		"metadata of a call":                                          kib(maxHeaderBytes),
		"a received message, pairing listener":                        kib(maxPairingMessage),
		"a received message, node listener (with the largest output)": kib(maxNodeMessage),
		"write buffer of a connection, only while it writes; there is no read buffer beside that of TLS":     kib(writeBufferBytes),
		"flow-control window of a stream and of a connection, each":                                          kib(windowBytes),
		"silence before the gateway pings, and for its answer":                                               pair(keepaliveTime, keepaliveTimeout),
		"pings of a machine, at most one every":                                                              keepaliveMinTime.String(),
		"age of a pairing connection, and grace for its calls":                                               pair(pairingConnectionAge, pairingGrace),
		"age of a node connection, and grace for its calls":                                                  fmt.Sprintf("%s to %s, %s", minNodeConnectionAge, maxNodeConnectionAge, nodeGrace),
		"connections of one Node on the node listener, whatever its keys; for one more the oldest is closed": fmt.Sprint(limits.ConnectionsPerNode),
		"connections opened by one Node at once, then one every":                                             quotaText(connectionQuota),
		"a connection beyond that keeps its turn before it is closed":                                        refusedConnectionDelay.String(),
		"all calls of one Node's callers without its key: at once, then one every":                           quotaText(unpinnedQuota),
		"refused calls in a row on a connection of either listener; the next one closes it":                  fmt.Sprint(maxRefusals),
		"`BeginPairingSession` from one address, a second, and at once":                                      pair(limits.BeginsPerSecond, limits.BeginBurst),
		"other pairing calls from one address, a second, and at once":                                        pair(limits.CallsPerSecond, limits.CallBurst),
		"addresses remembered": fmt.Sprint(maxSources),
		"budgets of Nodes remembered (about four for each Node that calls); a full table forgets the one used longest ago": fmt.Sprint(maxQuotas),
	} {
		if got, ok := rows[limit]; !ok || got != want {
			t.Errorf("docs/reference/limits.md says %q of %q, the code %q", got, limit, want)
		}
	}
}
