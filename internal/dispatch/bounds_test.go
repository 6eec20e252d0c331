package dispatch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// The tests of this file check every bound with the largest allowed value and with one more.

func TestAnEscapedInputAsLongAsMayBeIsOffered(t *testing.T) {
	for more, want := range map[int]VerdictKind{0: VerdictOffer, 1: VerdictSettle} {
		escaped, err := json.Marshal(strings.Repeat("<", MaxInputBytes-len(`""`)+more))
		if err != nil {
			t.Fatal(err)
		}
		d := queuedEcho()
		d.Spec.Input = &v1alpha1.JSON{Raw: escaped}
		if got := Admit(d, node(), declaredEcho, after(1)); got.Kind != want {
			t.Errorf("%d bytes more than may be: %v, want %v", more, got.Kind, want)
		}
	}
}

func TestAnOutputAsLongAsMayBeIsKeptWhole(t *testing.T) {
	for more, cut := range map[int]bool{0: false, 1: true} {
		raw := []byte(`"` + strings.Repeat("x", 64-len(`""`)+more) + `"`)
		if got, err := cleanOutput(raw, 64, false); err != nil || got.truncated != cut {
			t.Errorf("%d bytes more than may be: truncated %v, %v, want %v", more, got.truncated, err, cut)
		}
	}
}

func TestAnOutputAsDeepAsMayBeIsKept(t *testing.T) {
	for levels, ok := range map[int]bool{maxDepth: true, maxDepth + 1: false} {
		if _, err := cleanOutput([]byte(strings.Repeat("[", levels)+strings.Repeat("]", levels)), 1000, false); (err == nil) != ok {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}

func TestALongNumberIsShortenedInAMessage(t *testing.T) {
	for digits, want := range map[int]int{40: 40, 41: 40 + len("…")} {
		if got := shortenNumber(strings.Repeat("1", digits)); len(got) != want {
			t.Errorf("%d digits become %q", digits, got)
		}
	}
}

func TestAnErrorCodeAsLongAsMayBeIsKept(t *testing.T) {
	for length, want := range map[int]int{maxCodeChars: maxCodeChars, maxCodeChars + 1: 0} {
		if got := validErrorCode(strings.Repeat("X", length)); len(got) != want {
			t.Errorf("a code of %d characters becomes %q", length, got)
		}
	}
}

func TestACapabilityThatIsUnavailableGivesItsReason(t *testing.T) {
	for reason, want := range map[string]string{"MissingProgram": "MissingProgram", "": "the agent gave no reason"} {
		declared := []v1alpha1.NodeCapability{{Name: "echo", Reason: reason}}
		got := Admit(queuedEcho(), node(), declared, after(1))
		if got.Kind != VerdictSettle || got.Status.Error.Code != v1alpha1.ErrorCapabilityUnavailable || !strings.HasSuffix(got.Status.Error.Message, want) {
			t.Errorf("reason %q: %v %+v", reason, got.Kind, got.Status.Error)
		}
	}
}

func TestFactsAreThoseOfTheNode(t *testing.T) {
	if got := FactsOf(nil); got != (Facts{}) {
		t.Errorf("without a Node: %+v", got)
	}
	for _, deleting := range []bool{false, true} {
		for _, state := range []v1alpha1.NodeDesiredState{v1alpha1.NodeActive, v1alpha1.NodeSuspended, v1alpha1.NodeRevoked} {
			got := FactsOf(node(func(n *v1alpha1.Node) {
				n.Spec.DesiredState = state
				if deleting {
					n.DeletionTimestamp = at(1)
				}
			}))
			if !got.NodeExists || got.NodeDeleting != deleting || got.Revoked != (state == v1alpha1.NodeRevoked) {
				t.Errorf("%s, deleting %v: %+v", state, deleting, got)
			}
		}
	}
}

// The table is the relation of advanceExecution: a final statement stays, a contradiction becomes
// Unknown.
func TestStatementsAboutARunAdvanceAlongTheRelation(t *testing.T) {
	const started, finished, notStarted, unknown = v1alpha1.ExecutionStarted, v1alpha1.ExecutionFinished, v1alpha1.ExecutionNotStarted, v1alpha1.ExecutionUnknown
	for old, next := range map[v1alpha1.Execution]map[v1alpha1.Execution]v1alpha1.Execution{
		"":         {"": "", started: started, finished: finished, notStarted: notStarted, unknown: unknown},
		started:    {"": started, started: started, finished: finished, notStarted: unknown, unknown: unknown},
		unknown:    {"": unknown, started: unknown, finished: finished, notStarted: notStarted, unknown: unknown},
		finished:   {"": finished, started: finished, finished: finished, notStarted: finished, unknown: finished},
		notStarted: {"": notStarted, started: notStarted, finished: notStarted, notStarted: notStarted, unknown: notStarted},
	} {
		for statement, want := range next {
			if got := advanceExecution(old, statement); got != want {
				t.Errorf("after %q, statement %q gives %q, want %q", old, statement, got, want)
			}
		}
	}
}

func TestDepthIsThatOfTheDeepestValue(t *testing.T) {
	for text, want := range map[string]int{`1`: 0, `{}`: 1, `[]`: 1, `{"a":{"b":1},"c":1}`: 2, `{"a":1,"b":[[]],"c":{}}`: 3, `[1,[{}],2,[]]`: 3} {
		var value any
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if got := jsonDepth(value); got != want {
			t.Errorf("depth(%s) = %d, want %d", text, got, want)
		}
	}
}

func TestProgressIsWithinAHundredPercent(t *testing.T) {
	now := time.Now()
	for reported, want := range map[int32]int32{-1: 0, 0: 0, 40: 40, 100: 100, 101: 100} {
		if got := MarkProgress(v1alpha1.CapabilityDispatchStatus{}, reported, "", "gw", now).Progress.Percent; got != want {
			t.Errorf("%d %% are stored as %d, want %d", reported, got, want)
		}
	}
}
