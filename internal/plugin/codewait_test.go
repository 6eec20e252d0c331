package plugin

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestARefusedDecisionIsShownToTheApprover(t *testing.T) {
	request := &v1alpha1.PairingRequest{ObjectMeta: metav1.ObjectMeta{Name: "press-3", Namespace: "workshop"}}
	request.Spec.Decision = &v1alpha1.PairingDecision{Verdict: v1alpha1.VerdictApproved, By: "ada"}
	request.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Message: "exceeded quota: machines"}}
	got, err := alreadyDecided(request, v1alpha1.VerdictApproved, time.Now())
	if err != nil || !strings.Contains(got, "cannot carry it out yet: exceeded quota: machines") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestACodeThatIsNotReadySaysWhoToAsk(t *testing.T) {
	code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Name: "code-x", Namespace: "workshop"}}
	for _, want := range []string{"is it running?", "kubectl get pods -n mooring-system", "kubectl get pcode code-x -n workshop"} {
		if got := codeNotReadyError(code).Error(); !strings.Contains(got, want) {
			t.Errorf("silent controller: %q does not contain %q", got, want)
		}
	}
	code.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Message: "start the controller with --advertise-pairing-endpoint"}}
	if got := codeNotReadyError(code).Error(); !strings.Contains(got, "start the controller with --advertise-pairing-endpoint") {
		t.Errorf("the message of the controller is missing: %q", got)
	}
	code.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Message: "exceeded quota: none"}}
	if got := codeNotReadyError(code).Error(); !strings.Contains(got, "exceeded quota: none") || strings.Contains(got, "is it running?") {
		t.Errorf("a refused write: %q", got)
	}
}
