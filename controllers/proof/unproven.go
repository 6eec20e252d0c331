package proof

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/policy"
)

// UnprovenCondition returns the condition SpecUnproven, if fields of a Node are unused because no
// proof covers them.
func UnprovenCondition(node *v1alpha1.Node, record *v1alpha1.ProvenSpec) (metav1.Condition, bool) {
	var details []string
	if record != nil && record.UnprovenKeysSHA256 != "" {
		details = append(details, "publicKeySHA256, nextPublicKeySHA256, pairingRequestUID or serviceAccount: get no certificate until "+
			"the machine is paired again with a replaceNode code (verb approve on pairingrequests), or the Node is deleted")
	}
	if record != nil && record.UnprovenCapabilityPolicySHA256 != "" {
		details = append(details, "capabilityPolicy: grants nothing until a user with the verb approve on pairingrequests reviews it, "+
			"sets another value, and then sets the right value once this condition is gone")
	}
	if len(details) == 0 {
		return metav1.Condition{}, false
	}
	return metav1.Condition{
		Type: v1alpha1.ConditionSpecUnproven, Status: metav1.ConditionTrue, Reason: v1alpha1.ErrorPolicyUnproven,
		ObservedGeneration: node.Generation,
		Message: "written while the admission policies were not proven, so nothing shows that its writer had the right; nothing is offered to the machine: " +
			strings.Join(details, "; "),
	}, true
}

// CheckCode decides whether proofs cover the time at which a code was created. Its
// autoApprove, replaceNode and issuedBy depend on that.
func CheckCode(proofs Proofs, code *v1alpha1.PairingCode) (*status.Reason, error) {
	switch coverage, _ := proofs.Covers(code.CreationTimestamp.Time); coverage {
	case policy.Covered:
		return nil, nil
	case policy.Awaiting:
		return nil, ErrAwaiting
	default:
		return status.Reasonf(v1alpha1.ErrorPolicyUnproven, "PairingCode %q was created while the admission policies were not proven, so nothing shows that %q "+
			"issued it and may set autoApprove or replaceNode (verb approve on pairingrequests): create another PairingCode", code.Name, code.Spec.IssuedBy), nil
	}
}
