package session

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/gateway/nodestatus"
	"github.com/mooring-dev/mooring/internal/gateway/publisher"
)

// The budgets of a Node equal the documented limits.
func TestTheBudgetsOfANodeAreTheOnesInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%d s", d/time.Second) }
	for limit, want := range map[string]string{
		"live reads for one Node's callers whose key the cache does not know: at once, then one every": fmt.Sprintf("%d, %s", liveReadsBurst, seconds(liveReadInterval)),
		"writes of the status of one Node at once, over all its sessions: for new facts, for the end of a session (it waits), for the begin of a session (it is refused); then one every": fmt.Sprintf("%d, %d, %d, %s",
			publisher.Burst, publisher.EndBurst, publisher.SessionBurst, seconds(publisher.Interval)),
		"declared capabilities of a Node; their schemas, each, in all, and levels of each":        fmt.Sprintf("%d; %d KiB, %d KiB, %d", capabilityname.MaxDeclared, nodestatus.MaxSchemaBytes>>10, nodestatus.MaxAllSchemasBytes>>10, nodestatus.MaxSchemaLevels),
		"schemas of a description as they are sent; those after them are not read":                fmt.Sprintf("%d KiB", nodestatus.MaxSentSchemasBytes>>10),
		"new schemas of one Node, that no machine has declared before: at once, then a second":    fmt.Sprintf("%d KiB, %d KiB", schemaBytesBurst>>10, schemaBytesPerSecond>>10),
		"messages that are read from one machine: at once, then a second; their bytes":            fmt.Sprintf("%d, %d; %d MiB, %d MiB", messagesBurst, messagesPerSecond, bytesBurst>>20, bytesPerSecond>>20),
		"writes on the way of the dispatches of one Node, a second, and at once":                  fmt.Sprintf("%d, %d", stepsPerSecond, stepsBurst),
		"descriptions of capabilities taken in at once, then a second; of more the newest counts": fmt.Sprintf("%d, %d", capabilityChangesBurst, capabilityChangesPerSecond),
		"results for dispatches that a session does not know at once, then a second; more are dropped and repeated by the agent": fmt.Sprintf("%d, %d",
			unknownResultsBurst, unknownResultsPerSecond),
	} {
		if row := "| " + limit + " | " + want + " | |"; !strings.Contains(string(page), row) {
			t.Errorf("docs/reference/limits.md has no row %s", row)
		}
	}
}

// budgetInTable matches a budget in the table of the calls of a Node: its name and its figures.
var budgetInTable = regexp.MustCompile(`([a-z][A-Za-z ]*) \(([^)]*)\)`)

// The table of the calls of a Node repeats the figures of the budgets. Each of its figures is that of
// the code.
func TestTheBudgetsOfAMethodAreTheOnesInTheReference(t *testing.T) {
	page, err := os.ReadFile("../../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"live reads":                    fmt.Sprintf("%d, %d s", liveReadsBurst, liveReadInterval/time.Second),
		"new schemas":                   fmt.Sprintf("%d KiB, %d KiB", schemaBytesBurst>>10, schemaBytesPerSecond>>10),
		"messages":                      fmt.Sprintf("%d, %d", messagesBurst, messagesPerSecond),
		"their bytes":                   fmt.Sprintf("%d MiB, %d MiB", bytesBurst>>20, bytesPerSecond>>20),
		"status of the Node":            fmt.Sprintf("%d, %d, %d, %d s", publisher.Burst, publisher.EndBurst, publisher.SessionBurst, publisher.Interval/time.Second),
		"the way of dispatches":         fmt.Sprintf("%d, %d", stepsPerSecond, stepsBurst),
		"results of unknown dispatches": fmt.Sprintf("%d, %d", unknownResultsBurst, unknownResultsPerSecond),
	}
	_, table, ok := strings.Cut(string(page), "| processor | reads of the API server | writes |\n")
	if table, _, _ = strings.Cut(table, "\n\n"); !ok {
		t.Fatal("docs/reference/limits.md has no table of the calls of a Node")
	}
	found := map[string]bool{}
	for line := range strings.Lines(table) {
		cells := strings.SplitN(line, "|", 4) // the method and its own budget are checked in package gateway
		for _, budget := range budgetInTable.FindAllStringSubmatch(cells[3], -1) {
			name, figures := budget[1], budget[2]
			if found[name] = true; name != "certificate requests" && figures != want[name] { // checked in package certificates
				t.Errorf("docs/reference/limits.md says %q of %s in %s, the code %q", figures, name, strings.TrimSpace(cells[1]), want[name])
			}
		}
		if rest := budgetInTable.ReplaceAllString(cells[3], ""); strings.ContainsAny(rest, "0123456789") {
			t.Errorf("docs/reference/limits.md has a figure without the name of a budget in %s: %s", strings.TrimSpace(cells[1]), strings.TrimSpace(rest))
		}
	}
	for name := range want {
		if !found[name] {
			t.Errorf("docs/reference/limits.md has no budget %s (%s) in the table of the calls of a Node", name, want[name])
		}
	}
}
