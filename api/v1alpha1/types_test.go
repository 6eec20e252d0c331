package v1alpha1

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestJSONKeepsWhatItHolds(t *testing.T) {
	for _, text := range []string{`{"a":[1,null,{"b":"c"}]}`, `[1,2]`, `"text"`, `7`, `true`} {
		var value JSON
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(value)
		if err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	if got, err := json.Marshal(JSON{}); err != nil || string(got) != "null" {
		t.Errorf("nothing became %s, %v", got, err)
	}
}

// Clients write structured types or maps; both must send the same fields.
func TestUnsetFieldsAreNotSent(t *testing.T) {
	node := &Node{Spec: NodeSpec{PublicKeySHA256: "k", PairingRequestUID: "u"}}
	want := map[string]any{"publicKeySHA256": "k", "pairingRequestUID": "u"}
	asMap, err := runtime.DefaultUnstructuredConverter.ToUnstructured(node)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(want), asMap["spec"]); diff != "" {
		t.Errorf("as a map (-want +got):\n%s", diff)
	}
	data, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	var asJSON map[string]any
	if err := json.Unmarshal(data, &asJSON); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(any(want), asJSON["spec"]); diff != "" {
		t.Errorf("as JSON (-want +got):\n%s", diff)
	}
}

func TestJSONSurvivesTheWayThroughAMap(t *testing.T) {
	dispatch := &CapabilityDispatch{Spec: CapabilityDispatchSpec{Input: &JSON{Raw: []byte(`{"text":"hi"}`)}}}
	asMap, err := runtime.DefaultUnstructuredConverter.ToUnstructured(dispatch)
	if err != nil {
		t.Fatal(err)
	}
	back := &CapabilityDispatch{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(asMap, back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dispatch, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsFinal(t *testing.T) {
	for phase, want := range map[DispatchPhase]bool{
		"": false, DispatchQueued: false, DispatchDispatched: false, DispatchAwaitingLocalMediation: false,
		DispatchSucceeded: true, DispatchFailed: true, DispatchTimedOut: true,
		DispatchRejected: true, DispatchCancelled: true,
	} {
		if phase.Terminal() != want {
			t.Errorf("phase %q: terminal is %t", phase, phase.Terminal())
		}
	}
	for execution, want := range map[Execution]bool{
		"": false, ExecutionStarted: false, ExecutionUnknown: false,
		ExecutionNotStarted: true, ExecutionFinished: true,
	} {
		if execution.Final() != want {
			t.Errorf("execution %q: final is %t", execution, execution.Final())
		}
	}
}

func TestARecordIsNamedByItsLookupID(t *testing.T) {
	if got := PairingRecordName("K7QX2M"); got != "k7qx2m" {
		t.Errorf("got %q", got)
	}
}
