package api_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// step is one change of phase.
type step struct {
	from, to string
	allowed  bool
}

var (
	openPhases     = []string{"Queued", "Dispatched", "AwaitingLocalMediation"}
	terminalPhases = []string{"Succeeded", "Failed", "TimedOut", "Rejected", "Cancelled"}
)

func TestPhasesOfADispatchFollowTheirRules(t *testing.T) {
	var steps []step
	for _, from := range append(openPhases, terminalPhases...) {
		for _, to := range append(openPhases, terminalPhases...) {
			back := to == "Queued"
			final := from != "Queued" && from != "Dispatched" && from != "AwaitingLocalMediation"
			steps = append(steps, step{from, to, from == to || (!back && !final)})
		}
	}
	namespace := shared.Namespace(t)
	for i, step := range steps {
		t.Run(step.from+" to "+step.to, func(t *testing.T) {
			o := dispatchIn(t, namespace, fmt.Sprintf("phase-%d", i), fmt.Sprintf(`{"status":{"phase":%q}}`, step.from))
			err := patchStatus(t, shared.Client(), o, fmt.Sprintf(`{"status":{"phase":%q}}`, step.to))
			if step.allowed {
				wantAccepted(t, err)
				return
			}
			wantRefused(t, err, "status.phase: Forbidden")
		})
	}
}

// A phase that can be removed and set again would not be final.
func TestATerminalPhaseCannotBeRemoved(t *testing.T) {
	namespace := shared.Namespace(t)
	for i, phase := range terminalPhases {
		o := dispatchIn(t, namespace, fmt.Sprintf("final-%d", i), fmt.Sprintf(`{"status":{"phase":%q,"execution":"Finished"}}`, phase))
		wantFinalStatus(t, o, "a terminal phase is final")
	}
}

func TestFinalPhasesOfCodesAndRequestsCannotBeRemoved(t *testing.T) {
	namespace := shared.Namespace(t)
	for _, phase := range []string{"Used", "Expired", "Burnt"} {
		o := newObject("PairingCode", namespace, "code-"+strings.ToLower(phase), codeSpec(nil))
		mustCreate(t, o)
		wantAccepted(t, patchStatus(t, shared.Client(), o, `{"status":{"phase":"Active","lookupID":"K7QX2M"}}`))
		wantAccepted(t, patchStatus(t, shared.Client(), o, fmt.Sprintf(`{"status":{"phase":%q}}`, phase)))
		wantRefused(t, patchStatus(t, shared.Client(), o, `{"status":{"phase":"Active"}}`), "is final")
		wantFinalStatus(t, o, "is final")
		wantRefused(t, patchStatus(t, shared.Client(), o, `{"status":{"lookupID":"AAAAAA"}}`), "lookupID is immutable once set")
		wantRefused(t, patchStatus(t, shared.Client(), o, `{"status":{"lookupID":null}}`), "lookupID is immutable once set")
	}
	for _, phase := range []string{"Denied", "Completed", "Expired", "Failed"} {
		o := newObject("PairingRequest", namespace, "request-"+strings.ToLower(phase), requestSpec(nil))
		mustCreate(t, o)
		wantAccepted(t, patchStatus(t, shared.Client(), o, `{"status":{"phase":"Pending"}}`))
		wantAccepted(t, patchStatus(t, shared.Client(), o, `{"status":{"phase":"Approved"}}`))
		wantAccepted(t, patchStatus(t, shared.Client(), o, fmt.Sprintf(`{"status":{"phase":%q}}`, phase)))
		wantRefused(t, patchStatus(t, shared.Client(), o, `{"status":{"phase":"Approved"}}`), "is final")
		wantFinalStatus(t, o, "is final")
	}
}

func TestExecutionSaysOnlyMoreThanBefore(t *testing.T) {
	all := []string{"", "NotStarted", "Started", "Finished", "Unknown"}
	allowed := map[string]bool{
		"Started Finished": true, "Started Unknown": true, "Unknown Finished": true, "Unknown NotStarted": true,
	}
	namespace := shared.Namespace(t)
	for i, from := range all {
		for j, to := range all {
			t.Run(fmt.Sprintf("from %q to %q", from, to), func(t *testing.T) {
				o := dispatchIn(t, namespace, fmt.Sprintf("execution-%d-%d", i, j), execution(from))
				err := patchStatus(t, shared.Client(), o, execution(to))
				if from == "" || from == to || allowed[from+" "+to] {
					wantAccepted(t, err)
					return
				}
				wantRefused(t, err, "execution says what is proven")
			})
		}
	}
}

// A late result completes the execution of a run that was given up; the phase stays.
func TestALateResultCompletesExecutionAndOutput(t *testing.T) {
	o := dispatchIn(t, shared.Namespace(t), "late", `{"status":{"phase":"TimedOut","execution":"Unknown"}}`)
	wantAccepted(t, patchStatus(t, shared.Client(), o, `{"status":{"execution":"Finished","output":{"text":"hi"}}}`))
	phase, _, _ := unstructured.NestedString(getLive(t, o).Object, "status", "phase")
	if phase != "TimedOut" {
		t.Errorf("phase is %q, want TimedOut", phase)
	}
}

func TestOutputIsAnyJSON(t *testing.T) {
	namespace := shared.Namespace(t)
	for i, value := range []string{`{"a":[1,null,"x"]}`, `[1,2]`, `"text"`, `7`, `true`} {
		o := dispatchIn(t, namespace, fmt.Sprintf("output-%d", i), fmt.Sprintf(`{"status":{"phase":"Succeeded","output":%s}}`, value))
		if _, found, _ := unstructured.NestedFieldNoCopy(getLive(t, o).Object, "status", "output"); !found {
			t.Errorf("output %s was dropped", value)
		}
	}
}

// wantFinalStatus tries every way to remove the phase.
func wantFinalStatus(t *testing.T, o *unstructured.Unstructured, message string) {
	t.Helper()
	c := shared.Client()
	without, empty, null := getLive(t, o), getLive(t, o), getLive(t, o)
	delete(without.Object, "status")
	empty.Object["status"] = map[string]any{}
	null.Object["status"] = nil
	wantRefused(t, patchStatus(t, c, o, `{"status":{"phase":null}}`), message)
	wantRefused(t, patchStatus(t, c, o, `{"status":null}`), message)
	wantRefused(t, c.Status().Update(t.Context(), without), message)
	wantRefused(t, c.Status().Update(t.Context(), empty), message)
	wantRefused(t, c.Status().Update(t.Context(), null), message)
}

func dispatchIn(t *testing.T, namespace, name, status string) *unstructured.Unstructured {
	t.Helper()
	o := newObject("CapabilityDispatch", namespace, name, dispatchSpec(nil))
	mustCreate(t, o)
	wantAccepted(t, patchStatus(t, shared.Client(), o, status))
	return o
}

func execution(value string) string {
	if value == "" {
		return `{"status":{"execution":null}}`
	}
	return fmt.Sprintf(`{"status":{"execution":%q}}`, value)
}
