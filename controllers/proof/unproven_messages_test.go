package proof

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/policy"
	"github.com/mooring-dev/mooring/test/fakeproofs"
)

// A person who reads the message needs the right that was not proven, and the next step.
func TestAMessageAboutAnUnprovenValueNamesTheRightAndTheWayOut(t *testing.T) {
	const right = "verb approve on pairingrequests"
	for name, tt := range map[string]struct {
		message func(*testing.T) string
		want    []string
		not     string // part of the message about another value
	}{
		"keys of a Node": {unprovenNodeMessage(v1alpha1.ProvenSpec{UnprovenKeysSHA256: "k"}),
			[]string{"publicKeySHA256", "serviceAccount", "paired again with a replaceNode code", "the Node is deleted", "nothing is offered"}, "capabilityPolicy"},
		"capabilityPolicy of a Node": {unprovenNodeMessage(v1alpha1.ProvenSpec{UnprovenCapabilityPolicySHA256: "c"}),
			[]string{"capabilityPolicy", "sets another value, and then sets the right value once this condition is gone", "nothing is offered"}, "publicKeySHA256"},
		"both fields of a Node": {unprovenNodeMessage(v1alpha1.ProvenSpec{UnprovenKeysSHA256: "k", UnprovenCapabilityPolicySHA256: "c"}),
			[]string{"publicKeySHA256", "replaceNode", "capabilityPolicy", "sets another value"}, ""},
		"a code": {unprovenCodeMessage, []string{`PairingCode "pin"`, `"ada" issued it`, "create another PairingCode"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			message := tt.message(t)
			for _, want := range append(tt.want, right, "while the admission policies were not proven") {
				if !strings.Contains(message, want) {
					t.Errorf("the message has no %q: %s", want, message)
				}
			}
			if tt.not != "" && strings.Contains(message, tt.not) {
				t.Errorf("the message names %s, which is proven: %s", tt.not, message)
			}
		})
	}
}

func unprovenNodeMessage(record v1alpha1.ProvenSpec) func(*testing.T) string {
	return func(t *testing.T) string {
		t.Helper()
		condition, ok := UnprovenCondition(&v1alpha1.Node{ObjectMeta: metav1.ObjectMeta{Generation: 3}}, &record)
		if !ok || condition.Type != v1alpha1.ConditionSpecUnproven || condition.Status != metav1.ConditionTrue ||
			condition.Reason != v1alpha1.ErrorPolicyUnproven || condition.ObservedGeneration != 3 {
			t.Errorf("the condition is %+v", condition)
		}
		return condition.Message
	}
}

func unprovenCodeMessage(t *testing.T) string {
	t.Helper()
	code := &v1alpha1.PairingCode{ObjectMeta: metav1.ObjectMeta{Name: "pin", CreationTimestamp: metav1.NewTime(start.Add(-time.Hour))}}
	code.Spec.IssuedBy = "ada"
	refused, err := CheckCode(&fakeproofs.Proofs{Epoch: policy.Epoch{ID: "now", Since: start, Until: start}, OK: true}, code)
	if err != nil || refused == nil || refused.Reason != v1alpha1.ErrorPolicyUnproven {
		t.Fatalf("refused for %+v, %v, want %s", refused, err, v1alpha1.ErrorPolicyUnproven)
	}
	return refused.Message
}
