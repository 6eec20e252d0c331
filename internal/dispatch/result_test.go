package dispatch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestSettleGivesAnUnfinishedDispatchATruthfulEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		d      *v1alpha1.CapabilityDispatch
		result Result
		want   outcome
		output string
	}{
		{"success straight from the queue", queuedEcho(), Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`{ "a": 1 }`)}, outcome{"Succeeded", "Finished", ""}, `{"a":1}`},
		{"success without output", queuedEcho(), Result{Outcome: "Succeeded", Execution: "Finished"}, outcome{"Succeeded", "Finished", ""}, ""},
		{"success with NotStarted", queuedEcho(), Result{Outcome: "Succeeded", Execution: "NotStarted"}, outcome{"Succeeded", "Finished", ""}, ""},
		{"failure with output", queuedEcho(), Result{Outcome: "Failed", Execution: "Finished", Output: []byte(`"log"`), ErrorCode: "Broken"}, outcome{"Failed", "Finished", "Broken"}, `"log"`},
		{"failure without a code", queuedEcho(), Result{Outcome: "Failed", Execution: "Finished"}, outcome{"Failed", "Finished", "CapabilityFailed"}, ""},
		{"a code that is no word", queuedEcho(), Result{Outcome: "Failed", Execution: "Finished", ErrorCode: "a b\n"}, outcome{"Failed", "Finished", "CapabilityFailed"}, ""},
		{"crash in the middle", queuedEcho(inPhase("Dispatched"), startedAt(1)), Result{Outcome: "Failed", Execution: "Unknown", ErrorCode: "AgentRestarted"}, outcome{"Failed", "Unknown", "AgentRestarted"}, ""},
		{"an end with Started", queuedEcho(), Result{Outcome: "TimedOut", Execution: "Started"}, outcome{"TimedOut", "Unknown", "Timeout"}, ""},
		{"refused unrun", queuedEcho(), Result{Outcome: "Rejected", Execution: "NotStarted", ErrorCode: "InvalidInput", Output: []byte(`1`)}, outcome{"Rejected", "NotStarted", "InvalidInput"}, ""},
		{"rejected although it ran", queuedEcho(), Result{Outcome: "Rejected", Execution: "Finished", ErrorCode: "Odd"}, outcome{"Failed", "Finished", "Odd"}, ""},
		{"never started although progress was seen", queuedEcho(inPhase("Dispatched"), startedAt(1)), Result{Outcome: "Cancelled", Execution: "NotStarted"}, outcome{"Cancelled", "Unknown", "Cancelled"}, ""},
		{"rejected without a word about the run", queuedEcho(), Result{Outcome: "Rejected", ErrorCode: "Odd"}, outcome{"Rejected", "NotStarted", "Odd"}, ""},
		{"failed without a word about the run", queuedEcho(), Result{Outcome: "Failed", ErrorCode: "Odd"}, outcome{"Failed", "Unknown", "Odd"}, ""},
		{"no outcome", queuedEcho(), Result{Execution: "Finished"}, outcome{"Failed", "Finished", "Internal"}, ""},
		{"broken JSON", queuedEcho(), Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`{"a":`)}, outcome{"Failed", "Finished", "InvalidOutput"}, ""},
		{"invalid UTF-8", queuedEcho(), Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte("\"\xff\"")}, outcome{"Failed", "Finished", "InvalidOutput"}, ""},
		{"a number no server can store", queuedEcho(), Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`1e999`)}, outcome{"Failed", "Finished", "InvalidOutput"}, ""},
		{"nested too deep", queuedEcho(), Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(strings.Repeat("[", 99) + strings.Repeat("]", 99))}, outcome{"Failed", "Finished", "InvalidOutput"}, ""},
		{"null is no output", queuedEcho(), Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`null`)}, outcome{"Succeeded", "Finished", ""}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, write := Settle(tt.d.Status, tt.result, "gw", after(20))
			if !write {
				t.Fatal("write = false")
			}
			if diff := cmp.Diff(tt.want, outcomeOf(&got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			output := ""
			if got.Output != nil {
				output = string(got.Output.Raw)
			}
			if output != tt.output {
				t.Errorf("output = %s, want %s", output, tt.output)
			}
			if got.Gateway != "gw" || got.CompletedTime == nil {
				t.Errorf("gateway %q or completedTime %v is missing", got.Gateway, got.CompletedTime)
			}
		})
	}
}

// journalReset sets the status of a dispatch that the machine had accepted before it came back with a
// journal that does not contain it.
func journalReset(d *v1alpha1.CapabilityDispatch) {
	accepted(d)
	d.Status = *DecideJournalReset(d, endedSessionFacts(-5, 5), after(9))
}

func TestSettleCompletesALateResultButKeepsThePhase(t *testing.T) {
	ran := Result{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`"late"`)}
	never := Result{Outcome: "Rejected", Execution: "NotStarted", Output: []byte(`1`)}
	for _, tt := range []struct {
		name   string
		d      *v1alpha1.CapabilityDispatch
		result Result
		write  bool
		want   outcome
	}{
		{"unknown, it had run", queuedEcho(inPhase("TimedOut"), withExecution("Unknown")), ran, true, outcome{"TimedOut", "Finished", ""}},
		{"unknown, it had not", queuedEcho(inPhase("Failed"), withExecution("Unknown")), never, true, outcome{"Failed", "NotStarted", ""}},
		{"unknown, nothing new", queuedEcho(inPhase("Failed"), withExecution("Unknown")), Result{Outcome: "Failed", Execution: "Unknown"}, false, outcome{"Failed", "Unknown", ""}},
		{"journal reset, NotStarted reported", queuedEcho(journalReset), never, false, outcome{"Failed", "Unknown", "JournalReset"}},
		{"journal reset, a run reported", queuedEcho(journalReset), ran, true, outcome{"Failed", "Finished", "JournalReset"}},
		{"started, it finished", queuedEcho(inPhase("Cancelled"), withExecution("Started")), ran, true, outcome{"Cancelled", "Finished", ""}},
		{"finished already", queuedEcho(inPhase("Succeeded"), withExecution("Finished")), ran, false, outcome{"Succeeded", "Finished", ""}},
		{"proven unstarted already", queuedEcho(inPhase("Rejected"), withExecution("NotStarted")), ran, false, outcome{"Rejected", "NotStarted", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := *tt.d.Status.DeepCopy()
			got, write := Settle(tt.d.Status, tt.result, "gw", after(20))
			if write != tt.write {
				t.Errorf("write = %v, want %v", write, tt.write)
			}
			if diff := cmp.Diff(tt.want, outcomeOf(&got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (got.Output != nil) != (got.Execution == "Finished" && write) {
				t.Errorf("output = %v with execution %s", got.Output, got.Execution)
			}
			if diff := cmp.Diff(before, tt.d.Status); diff != "" {
				t.Errorf("the old status was changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestSettleKeepsTheBeginningOfAnOutputThatIsTooLong(t *testing.T) {
	for name, raw := range map[string]string{
		"one byte too many":            `"` + strings.Repeat("x", 63) + `"`,
		"far too long":                 `"` + strings.Repeat("é", 1<<20) + `"`,
		"too long and not JSON":        strings.Repeat(`{"`, 64),
		"full of characters to escape": strings.Repeat("\x00", 65),
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := Settle(queuedEcho().Status, Result{Outcome: "Succeeded", Output: []byte(raw), MaxPayloadBytes: 64}, "gw", after(1))
			var kept string
			if err := json.Unmarshal(got.Output.Raw, &kept); err != nil {
				t.Fatalf("kept %q: %v", got.Output.Raw, err)
			}
			if len(got.Output.Raw) > 64 || kept == "" || !strings.HasPrefix(raw, kept) || !got.OutputTruncated {
				t.Errorf("kept %q, truncated %v", got.Output.Raw, got.OutputTruncated)
			}
			if got.Phase != v1alpha1.DispatchSucceeded {
				t.Errorf("phase = %s", got.Phase)
			}
		})
	}
}

func TestSettleCleansTheWordsOfTheMachine(t *testing.T) {
	got, _ := Settle(queuedEcho().Status, Result{
		Outcome: "Failed", Execution: "Finished", ErrorCode: strings.Repeat("A", 65),
		ErrorMessage: "bad\x00\x1b[31m\xff\u202e " + strings.Repeat("é", 5000),
		Started:      time.Date(99999, 1, 1, 0, 0, 0, 0, time.UTC),
	}, "gw", after(1))
	if got.Error.Code != v1alpha1.ErrorCapabilityFailed {
		t.Errorf("code = %q", got.Error.Code)
	}
	if strings.ContainsAny(got.Error.Message, "\x00\x1b\u202e") || len([]rune(got.Error.Message)) != 4096 {
		t.Errorf("message has %d characters: %.20q", len([]rune(got.Error.Message)), got.Error.Message)
	}
	if !got.StartedTime.Time.Equal(after(1)) {
		t.Errorf("startedTime = %v, want now", got.StartedTime)
	}
}

// A final status stays unchanged, even if it has no output and a later result brings one.
func TestAFinalEndIsNeverChanged(t *testing.T) {
	for _, first := range []Result{
		{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`1`)}, {Outcome: "Succeeded", Execution: "Finished"},
		{Outcome: "Failed", Execution: "Finished", ErrorCode: "Broken"}, {Outcome: "Cancelled", Execution: "NotStarted"},
	} {
		for _, second := range []Result{
			{Outcome: "Succeeded", Execution: "Finished", Output: []byte(`2`)}, {Outcome: "Failed", Execution: "Unknown"}, {Outcome: "Rejected", Execution: "NotStarted"},
		} {
			ended, _ := Settle(queuedEcho().Status, first, "gw", after(20))
			if next, write := Settle(ended, second, "other", after(30)); write || cmp.Diff(ended, next) != "" {
				t.Errorf("after %+v a result %+v: write = %t, (-first +next):\n%s", first, second, write, cmp.Diff(ended, next))
			}
		}
	}
}
