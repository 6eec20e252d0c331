package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A row that is measured again replaces its own figures and no others. A failed row keeps its old
// figures and fails the run. A wrong count is written to the page and fails the run too.
func TestRowsAreMergedAndFailuresReported(t *testing.T) {
	page := filepath.Join(t.TempDir(), "benchmarks.md")
	measured := func(value float64) func(context.Context, *suite) (result, error) {
		return func(context.Context, *suite) (r result, err error) {
			r.add("line", "of", "this", "row")
			r.atMost("a figure", "%.1f ms", 10, value)
			return r, nil
		}
	}
	s := &suite{options: options{out: page}, sizes: quick()}
	if err := s.run(t.Context(), []row{{"latency", measured(5)}, {"throughput", measured(20)}}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("it broke")
	err := s.run(t.Context(), []row{
		{"latency", func(context.Context, *suite) (result, error) { return result{}, broken }},
		{"writes", func(context.Context, *suite) (r result, err error) {
			err = r.exactly("a count", 2, 3)
			return r, err
		}},
	})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "a count: 3, want exactly 2") {
		t.Errorf("the run ended with %v", err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| a figure | at most 10.0 ms | 5.0 ms | met |",
		"| a figure | at most 10.0 ms | 20.0 ms | **missed** by 100 % |",
		"| a count | exactly 2 | 3 | **missed** by 1 |",
		"Not measured: hop, neighbour, revocation, ",
	} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("the page does not say %q once:\n%s", want, text)
		}
	}
}

func TestRowsAreChosenByNameOrKind(t *testing.T) {
	for list, want := range map[string]string{
		"": strings.Join(rowNames(), " "), "idle": "idle-small idle-middle idle-large", "kill,idle-large,latency": "latency idle-large kill",
	} {
		chosen, err := chooseRows(list)
		var names []string
		for _, r := range chosen {
			names = append(names, r.name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("--only %q runs %q (%v), want %q", list, got, err, want)
		}
	}
	if _, err := chooseRows("latency,speed"); err == nil {
		t.Error("a row that does not exist is accepted")
	}
}

// Every row is in exactly one section of the page, and every section lists only rows that exist.
func TestEveryRowIsOnThePage(t *testing.T) {
	placed := map[string]int{}
	for _, s := range sections {
		for _, name := range s.rows {
			placed[name]++
		}
	}
	for _, name := range rowNames() {
		if placed[name] != 1 {
			t.Errorf("row %s is on the page %d times", name, placed[name])
		}
		delete(placed, name)
	}
	if len(placed) != 0 {
		t.Errorf("places without a row: %v", placed)
	}
}

func TestTheEndOfANamespaceIsNoWrite(t *testing.T) {
	const line = `apiserver_request_total{code="200",component="apiserver",dry_run="",group="mooring.dev",resource="nodes",scope="%s",subresource="",verb="%s",version="v1alpha1"} %d` + "\n"
	text := fmt.Sprintf(line, "namespace", "DELETE", 5) + fmt.Sprintf(line, "resource", "DELETE", 2) + fmt.Sprintf(line, "resource", "POST", 3) + fmt.Sprintf(line, "namespace", "LIST", 7)
	if got, err := parseWrites(text, "2"); err != nil || got.String() != "DELETE nodes 2, POST nodes 3" {
		t.Errorf("counted %s, %v", got, err)
	}
}

func TestCountsAreWhatCameSince(t *testing.T) {
	before := counts{"POST nodes": 2, "PUT nodes/status": 5}
	after := counts{"POST nodes": 4, "PUT nodes/status": 5, "PATCH nodes/status": 1, "POST events": 20, "POST certificaterequests": 2}
	got := after.since(before)
	if got.String() != "PATCH nodes/status 1, POST certificaterequests 2, POST events 20, POST nodes 2" || got.ofResource("nodes/status") != 1 || got.total() != 25 {
		t.Errorf("counted %s", got)
	}
	if many := (counts{"Succeeded": 1000, "Failed": 99.96}).String(); many != "Failed 100, Succeeded 1000" {
		t.Errorf("many are %s", many)
	}
	// Four Events of each certificate are written by cert-manager.
	if each := got.perPairing(2).String(); each != "PATCH nodes/status 0.5, POST certificaterequests 1, POST events 6, POST nodes 1" {
		t.Errorf("a pairing writes %s", each)
	}
}
