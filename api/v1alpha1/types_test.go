package v1alpha1_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestJSONKeepsWhatItHolds(t *testing.T) {
	for _, text := range []string{`{"a":[1,null,{"b":"c"}]}`, `[1,2]`, `"text"`, `7`, `true`} {
		var value v1alpha1.JSON
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(value)
		if err != nil || string(got) != text {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	if got, err := json.Marshal(v1alpha1.JSON{}); err != nil || string(got) != "null" {
		t.Errorf("nothing became %s, %v", got, err)
	}
}

// Programs write with structured types and with maps; both must send the same.
func TestUnsetFieldsAreNotSent(t *testing.T) {
	node := &v1alpha1.Node{Spec: v1alpha1.NodeSpec{PublicKeySHA256: "k", PairingRequestUID: "u"}}
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
	dispatch := &v1alpha1.CapabilityDispatch{Spec: v1alpha1.CapabilityDispatchSpec{Input: &v1alpha1.JSON{Raw: []byte(`{"text":"hi"}`)}}}
	asMap, err := runtime.DefaultUnstructuredConverter.ToUnstructured(dispatch)
	if err != nil {
		t.Fatal(err)
	}
	back := &v1alpha1.CapabilityDispatch{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(asMap, back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dispatch, back); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsFinal(t *testing.T) {
	for phase, want := range map[v1alpha1.DispatchPhase]bool{
		"": false, v1alpha1.DispatchQueued: false, v1alpha1.DispatchDispatched: false, v1alpha1.DispatchAwaitingLocalMediation: false,
		v1alpha1.DispatchSucceeded: true, v1alpha1.DispatchFailed: true, v1alpha1.DispatchTimedOut: true,
		v1alpha1.DispatchRejected: true, v1alpha1.DispatchCancelled: true,
	} {
		if phase.Terminal() != want {
			t.Errorf("phase %q: terminal is %t", phase, phase.Terminal())
		}
	}
	for execution, want := range map[v1alpha1.Execution]bool{
		"": false, v1alpha1.ExecutionStarted: false, v1alpha1.ExecutionUnknown: false,
		v1alpha1.ExecutionNotStarted: true, v1alpha1.ExecutionFinished: true,
	} {
		if execution.Final() != want {
			t.Errorf("execution %q: final is %t", execution, execution.Final())
		}
	}
}

func TestARecordIsNamedByItsLookupID(t *testing.T) {
	if got := v1alpha1.PairingRecordName("K7QX2M"); got != "k7qx2m" {
		t.Errorf("got %q", got)
	}
}
