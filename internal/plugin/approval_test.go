package plugin

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func decided(verdict v1alpha1.Verdict) func(*v1alpha1.PairingRequest) {
	return func(r *v1alpha1.PairingRequest) {
		r.Spec.Decision = &v1alpha1.PairingDecision{Verdict: verdict, By: "ada", Reason: "ticket 17"}
		r.Status.Phase = v1alpha1.PairingRequestCompleted
	}
}

func TestADecisionIsMadeOnceAndSaidClearlyAfterwards(t *testing.T) {
	const yes, no = v1alpha1.VerdictApproved, v1alpha1.VerdictDenied
	for name, tc := range map[string]struct {
		request   *v1alpha1.PairingRequest
		verdict   v1alpha1.Verdict
		said, err string
	}{
		"waits":                        {pendingRequest("r"), yes, "", ""},
		"not seen by the controller":   {pendingRequest("r", func(r *v1alpha1.PairingRequest) { r.Status.Phase = "" }), yes, "", ""},
		"approved again":               {pendingRequest("r", decided(yes)), yes, `Pairing request "r" was already approved by ada (ticket 17).`, ""},
		"denied after an approval":     {pendingRequest("r", decided(yes)), no, "", "Revoked"},
		"approved after a denial":      {pendingRequest("r", decided(no)), yes, "", "already denied by ada (ticket 17), and a decision is final"},
		"expired, controller is late":  {pendingRequest("r", expired), yes, "", "expired at 2030-01-02 11:59:59 UTC"},
		"failed for a reason it knows": {pendingRequest("r", nameTaken), yes, "", "NameTaken: another machine has it"},
	} {
		t.Run(name, func(t *testing.T) {
			said, err := alreadyDecided(tc.request, tc.verdict, noon)
			if said != tc.said {
				t.Errorf("got %q, want %q", said, tc.said)
			}
			if (err != nil) != (tc.err != "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error %v, want an error with %q", err, tc.err)
			}
		})
	}
}

func expired(r *v1alpha1.PairingRequest) { r.Spec.ExpiresTime = metav1.NewTime(noon.Add(-time.Second)) }

func nameTaken(r *v1alpha1.PairingRequest) {
	r.Status.Phase = v1alpha1.PairingRequestFailed
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionCompleted, Reason: v1alpha1.ReasonNameTaken, Message: "another machine has it"}}
}

func TestAForeignVerificationCodeIsNotOfferedForComparison(t *testing.T) {
	forged := pendingRequest("r", func(r *v1alpha1.PairingRequest) { r.Spec.VerificationCode = "AAAAA-AAAAA" })
	if err := validateApproval(forged, nil, nil); err == nil || !strings.Contains(err.Error(), "does not belong to its key") {
		t.Errorf("got %v", err)
	}
}

func TestAGrantIsPartOfWhatWasAskedFor(t *testing.T) {
	if err := validateApproval(pendingRequest("r"), []string{"echo"}, nil); err != nil {
		t.Errorf("a part: %v", err)
	}
	err := validateApproval(pendingRequest("r"), []string{"echo", "root.shell"}, nil)
	if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "It asked for: echo, system.health") {
		t.Errorf("more: %v", err)
	}
}

func TestAGrantThatATakeoverIgnoresIsRefused(t *testing.T) {
	if err := validateApproval(pendingRequest("r"), nil, onlineNode("press-3")); err != nil {
		t.Errorf("without a grant: %v", err)
	}
	err := validateApproval(pendingRequest("r"), []string{"echo"}, onlineNode("press-3"))
	if exitCode(err) != exitUsage || !strings.Contains(err.Error(), `takes over node "press-3", which keeps its grant`) {
		t.Errorf("with one: %v", err)
	}
}

func TestTheDecisionFitsOnlyTheRequestThatWasShown(t *testing.T) {
	patch, err := decisionPatch(pendingRequest("r"), v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, Capabilities: []string{"echo"}})
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(patch, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"metadata": map[string]any{"uid": "uid-1", "resourceVersion": "7"},
		"spec":     map[string]any{"decision": map[string]any{"verdict": "Approved", "capabilities": []any{"echo"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOnlyAClearYesIsAYes(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, " y \n": true, "y": true, "\n": false, "": false, "n\n": false, "yess\n": false} {
		q := &question{answers: bufio.NewReader(strings.NewReader(answer)), out: io.Discard}
		if got := q.confirm("Approve? "); got != want {
			t.Errorf("%q: got %v, want %v", answer, got, want)
		}
	}
}
