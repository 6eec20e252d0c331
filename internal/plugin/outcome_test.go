package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestExitCodesFollowTheOutcomeAndAreDocumented(t *testing.T) {
	codes := map[v1alpha1.DispatchPhase]int{
		v1alpha1.DispatchSucceeded: 0, v1alpha1.DispatchFailed: 3, v1alpha1.DispatchTimedOut: 4,
		v1alpha1.DispatchRejected: 5, v1alpha1.DispatchCancelled: 6, v1alpha1.DispatchQueued: 1,
	}
	for phase, want := range codes {
		if got := phaseExitCode(phase); got != want {
			t.Errorf("%s: got %d, want %d", phase, got, want)
		}
		if phase.Terminal() && !strings.Contains(exitCodes, fmt.Sprintf("  %d ", want)) {
			t.Errorf("code %d of %s is not documented", want, phase)
		}
	}
	for want, err := range map[int]error{
		0: nil, 1: errors.New("any"), 2: fmt.Errorf("wrapped: %w", usageErrorf("bad")), 130: &exitError{code: exitInterrupted},
	} {
		if got := exitCode(err); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
}

func finishedDispatch(status v1alpha1.CapabilityDispatchStatus) *v1alpha1.CapabilityDispatch {
	return &v1alpha1.CapabilityDispatch{
		ObjectMeta: metav1.ObjectMeta{Name: "press-3-echo-x", Namespace: "workshop"},
		Spec:       v1alpha1.CapabilityDispatchSpec{NodeName: "press-3", Capability: "echo", MaxPayloadBytes: 64},
		Status:     status,
	}
}

func TestOnlyTheOutputGoesToStandardOutput(t *testing.T) {
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	err := (&tool{IOStreams: streams}).reportDispatch(finishedDispatch(v1alpha1.CapabilityDispatchStatus{
		Phase: v1alpha1.DispatchFailed, Output: &v1alpha1.JSON{Raw: []byte(`{"a":1}`)}, OutputTruncated: true,
		Error: &v1alpha1.DispatchError{Code: "CapabilityFailed", Message: "no paper"}, Execution: v1alpha1.ExecutionFinished,
	}), false)
	if exitCode(err) != exitFailed || err.Error() != `dispatch "press-3-echo-x" ended Failed: CapabilityFailed: no paper` {
		t.Errorf("got %v with code %d", err, exitCode(err))
	}
	if out.String() != "{\n  \"a\": 1\n}\n" {
		t.Errorf("standard output is %q", out)
	}
	if !strings.Contains(errOut.String(), "maxPayloadBytes is 64") {
		t.Errorf("standard error is %q", errOut)
	}
}

func TestWithAFormatTheWholeDispatchIsPrinted(t *testing.T) {
	for f, want := range map[format]string{"json": `"kind": "CapabilityDispatch"`, "yaml": "kind: CapabilityDispatch"} {
		streams, _, out, _ := genericiooptions.NewTestIOStreams()
		d := finishedDispatch(v1alpha1.CapabilityDispatchStatus{Phase: v1alpha1.DispatchSucceeded, Output: &v1alpha1.JSON{Raw: []byte(`[1]`)}})
		d.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "someone"}}
		if err := (&tool{IOStreams: streams, format: f}).reportDispatch(d, false); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "managedFields") || !bytes.HasSuffix(out.Bytes(), []byte("\n")) {
			t.Errorf("%s: got %s", f, out)
		}
	}
}

func TestAnOutcomeSaysWhetherItRanAndWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		execution v1alpha1.Execution
		code      string
		want      []string
	}{
		"proven never to have run": {v1alpha1.ExecutionNotStarted, v1alpha1.ErrorNotGranted, []string{"It never ran.", "kubectl mooring grant press-3 --capability echo"}},
		"not known":                {v1alpha1.ExecutionUnknown, v1alpha1.ErrorAgentRestarted, []string{"It may have run"}},
		"begun at least":           {v1alpha1.ExecutionStarted, v1alpha1.ErrorTimeout, []string{"It may have run", "--timeout"}},
		"an unknown capability":    {v1alpha1.ExecutionNotStarted, v1alpha1.ErrorUnknownCapability, []string{"kubectl mooring nodes press-3 -n workshop"}},
		"never online":             {v1alpha1.ExecutionNotStarted, v1alpha1.ErrorExpired, []string{"kubectl mooring nodes press-3"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := outcomeText(finishedDispatch(v1alpha1.CapabilityDispatchStatus{
				Phase: v1alpha1.DispatchRejected, Execution: tc.execution, Error: &v1alpha1.DispatchError{Code: tc.code},
			}))
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q does not contain %q", got, want)
				}
			}
		})
	}
}

func TestProgressIsToldInWords(t *testing.T) {
	for want, status := range map[string]v1alpha1.CapabilityDispatchStatus{
		"":                                       {Phase: v1alpha1.DispatchQueued},
		"The machine has accepted the dispatch.": {Phase: v1alpha1.DispatchDispatched},
		"40% half the pages":                     {Phase: v1alpha1.DispatchDispatched, Progress: &v1alpha1.DispatchProgress{Percent: 40, Message: "half the pages"}},
		"Waiting for eve at the machine to approve.":        {Phase: v1alpha1.DispatchAwaitingLocalMediation, Mediation: &v1alpha1.DispatchMediation{AskedUser: "eve"}},
		"Waiting for the person at the machine to approve.": {Phase: v1alpha1.DispatchAwaitingLocalMediation},
	} {
		if got := progressLine(status); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
