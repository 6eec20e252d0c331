package plugin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/foreign"
	"github.com/mooring-dev/mooring/internal/pairing"
)

// urgentWithin is the remaining time below which the approver is asked to hurry.
const urgentWithin = 2 * time.Minute

// alreadyDecided returns a sentence if the same decision was made before, and an error if the
// request cannot be decided any more. Both are empty for a request that waits.
func alreadyDecided(r *v1alpha1.PairingRequest, verdict v1alpha1.Verdict, now time.Time) (string, error) {
	newCodeHint := "the machine needs a new code: kubectl mooring code -n " + r.Namespace
	failed := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionCompleted)
	if r.Status.Phase == v1alpha1.PairingRequestFailed && failed != nil {
		return "", fmt.Errorf("pairing request %q failed: %s: %s; %s", r.Name, failed.Reason, foreign.CleanLine(failed.Message), newCodeHint)
	}
	if d := r.Spec.Decision; d != nil {
		sentence := fmt.Sprintf("pairing request %q was already %s by %s", r.Name, strings.ToLower(string(d.Verdict)), orDash(foreign.CleanLine(d.By)))
		if d.Reason != "" {
			sentence += fmt.Sprintf(" (%s)", foreign.CleanLine(d.Reason))
		}
		if d.Verdict == verdict {
			sentence = strings.ToUpper(sentence[:1]) + sentence[1:] + "."
			if message := stalledMessage(r.Status.Conditions); message != "" {
				sentence += " The controller cannot carry it out yet: " + message
			}
			return sentence, nil
		}
		if verdict == v1alpha1.VerdictDenied {
			return "", fmt.Errorf("%s, and a decision is final. To shut the machine out: kubectl patch mnode %s -n %s --type=merge -p '{\"spec\":{\"desiredState\":\"Revoked\"}}'",
				sentence, r.Spec.NodeName, r.Namespace)
		}
		return "", fmt.Errorf("%s, and a decision is final: %s", sentence, newCodeHint)
	}
	if isPending(r, now) {
		return "", nil
	}
	return "", fmt.Errorf("pairing request %q is over (it expired at %s): %s", r.Name, r.Spec.ExpiresTime.UTC().Format(time.DateTime+" MST"), newCodeHint)
}

// validateApproval rejects three kinds of approvals. The first is for a request whose verification
// code does not belong to its key: a person would compare the wrong value. The second grants a
// capability that was not requested. The third grants capabilities to a replaced Node: that has no
// effect, because the Node keeps its policy.
func validateApproval(r *v1alpha1.PairingRequest, capabilities []string, replaced *v1alpha1.Node) error {
	if r.Spec.VerificationCode != pairing.VerificationCode(r.Spec.PublicKeySHA256) {
		return fmt.Errorf("pairing request %q shows a verification code that does not belong to its key: do not trust it; deny it and find out who made it", r.Name)
	}
	if len(capabilities) > 0 && replaced != nil {
		return usageErrorf("the machine of pairing request %q takes over node %q, which keeps its grant: leave out --capability, and change the grant with kubectl edit mnode %s -n %s",
			r.Name, replaced.Name, replaced.Name, replaced.Namespace)
	}
	for _, capability := range capabilities {
		if !slices.Contains(r.Spec.RequestedCapabilities, capability) {
			return usageErrorf("the machine of pairing request %q did not ask for capability %q\nIt asked for: %s",
				r.Name, capability, joinOrNone(r.Spec.RequestedCapabilities))
		}
	}
	return nil
}

// describeRequest returns the text that an approver must examine.
func describeRequest(r *v1alpha1.PairingRequest, code *v1alpha1.PairingCode, replaced *v1alpha1.Node, now time.Time) string {
	lines := [][2]string{
		{"Verification code", r.Spec.VerificationCode},
		{"Node", r.Spec.NodeName},
		{"Platform", describeSystem(r.Spec.System)},
		{"Fingerprint", r.Spec.PublicKeySHA256},
		{"Invited by", describeInvitation(r)},
		{"Capabilities", joinOrNone(r.Spec.RequestedCapabilities)},
		{"Labels", describeLabels(r, code)},
		{"Expires in", timeLeft(now, r.Spec.ExpiresTime.Time)},
	}
	text := fmt.Sprintf("Pairing request %s in namespace %s", r.Name, r.Namespace)
	for _, line := range lines {
		text += fmt.Sprintf("\n  %-18s %s", line[0], orDash(foreign.CleanLine(line[1])))
	}
	if replaced != nil {
		text += fmt.Sprintf("\nIt takes over node %s with its labels, policy (%s) and queue; the key that the node has now is refused from then on.",
			replaced.Name, joinOrNone(replaced.Spec.CapabilityPolicy.Allow))
	}
	if remaining := r.Spec.ExpiresTime.Sub(now); remaining < urgentWithin {
		text += fmt.Sprintf("\nIt is about to expire: decide within %s.", timeLeft(now, r.Spec.ExpiresTime.Time))
	}
	return text
}

// describeLabels lists the labels that the code gives the Node.
func describeLabels(r *v1alpha1.PairingRequest, code *v1alpha1.PairingCode) string {
	switch {
	case r.Spec.CodeName == "":
		return "none"
	case code == nil:
		return fmt.Sprintf("unknown: code %s cannot be read", r.Spec.CodeName)
	case len(code.Spec.NodeLabels) == 0:
		return "none"
	}
	var codeLabels []string
	for key, value := range code.Spec.NodeLabels {
		codeLabels = append(codeLabels, key+"="+string(value))
	}
	slices.Sort(codeLabels)
	return strings.Join(codeLabels, ", ")
}

func describeSystem(system *v1alpha1.SystemInfo) string {
	if system == nil {
		return ""
	}
	parts := []string{orDash(system.Platform)}
	for _, part := range []string{system.OSImage, system.Hostname} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

func describeInvitation(r *v1alpha1.PairingRequest) string {
	if r.Spec.ServiceAccount != nil {
		return inviterOf(r)
	}
	return fmt.Sprintf("%s (%s code %s)", orDash(r.Spec.CodeIssuedBy), r.Spec.Method, r.Spec.CodeName)
}
