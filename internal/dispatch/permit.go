package dispatch

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Review is the result of checking whether the requester still has the right to invoke the
// capability.
type Review int

const (
	// ReviewNotDue means that the dispatch is recent: admission checked the right when it was created.
	ReviewNotDue Review = iota
	// ReviewMissing means that the review is due and has no result yet.
	ReviewMissing
	// ReviewPassed means that the requester may invoke the capability.
	ReviewPassed
	// ReviewRefused means that the requester may not invoke the capability any more.
	ReviewRefused
)

// Rights holds the facts that decide whether a dispatch may take its next step.
type Rights struct {
	Node *v1alpha1.Node
	// CertificateEnd is the end of the certificate with which the machine opened its session; zero
	// means unknown.
	CertificateEnd time.Time
	Review         Review
}

// PermissionKind is the decision whether a dispatch may take its next step.
type PermissionKind int

const (
	// Permitted means that the dispatch may take the step.
	Permitted PermissionKind = iota
	// Postponed means that the dispatch stays as it is until the rights change or it expires.
	Postponed
	// Withdrawn means that the dispatch may never take the step and ends with Permission.Code.
	Withdrawn
)

// Permission is a decision about the next step of a dispatch.
type Permission struct {
	Kind PermissionKind
	// Code and Message are set with Withdrawn.
	Code, Message string
}

// Permit decides whether a dispatch that has not started may take its next step. The steps are the
// offer, the question to a person, and the start after the approval. The caller must ask again
// before every step, with the rights of that time.
func Permit(d *v1alpha1.CapabilityDispatch, rights Rights, now time.Time) Permission {
	code, message := nodeDeletedOrRevoked(rights.Node)
	switch {
	case code != "":
		return Permission{Withdrawn, code, message}
	case d.Spec.Cancel, !now.Before(ExpiryTime(d)): // other rules end the dispatch
		return Permission{Kind: Postponed}
	case rights.Node.Spec.DesiredState == v1alpha1.NodeSuspended:
		return Permission{Kind: Postponed}
	case !Granted(rights.Node.Spec.CapabilityPolicy, d.Spec.Capability):
		return Permission{Withdrawn, v1alpha1.ErrorNotGranted, notGrantedMessage(rights.Node.Name, d.Spec.Capability)}
	case rights.Review == ReviewRefused:
		return Permission{Withdrawn, v1alpha1.ErrorNoLongerAllowed, noLongerAllowedMessage(d)}
	case rights.Review == ReviewMissing:
		return Permission{Kind: Postponed}
	case !rights.CertificateEnd.IsZero() && !now.Before(rights.CertificateEnd):
		return Permission{Kind: Postponed}
	}
	return Permission{Kind: Permitted}
}

// nodeDeletedOrRevoked returns why a Node may not start anything any more; the code is empty if it
// may.
func nodeDeletedOrRevoked(node *v1alpha1.Node) (code, message string) {
	switch {
	case node.DeletionTimestamp != nil:
		return v1alpha1.ErrorNodeDeleted, messageDeleted
	case node.Spec.DesiredState == v1alpha1.NodeRevoked:
		return v1alpha1.ErrorNodeRevoked, messageRevoked
	}
	return "", ""
}

func notGrantedMessage(node, capability string) string {
	return fmt.Sprintf("spec.capabilityPolicy of node %q does not grant capability %q: an approver can add it to allow", node, capability)
}

func noLongerAllowedMessage(d *v1alpha1.CapabilityDispatch) string {
	return fmt.Sprintf("user %q may not invoke capability %q in namespace %q any more, or the ServiceAccount was deleted: create it again as a user who may",
		d.Spec.RequestedBy, d.Spec.Capability, d.Namespace)
}

// RejectNoLongerAllowed rejects a dispatch whose requester lost the right to it. The caller must have
// proof that the dispatch was not offered.
func RejectNoLongerAllowed(d *v1alpha1.CapabilityDispatch, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(d.Status) {
		return d.Status
	}
	return finishUnstarted(d.Status, v1alpha1.DispatchRejected, v1alpha1.ErrorNoLongerAllowed, cleanText(noLongerAllowedMessage(d), maxErrorChars), now)
}

// Withdraw records that an offered dispatch may not run any more and that its machine is asked to
// cancel it. The first recorded reason stays.
func Withdraw(status v1alpha1.CapabilityDispatchStatus, code, message, gateway string, now time.Time) v1alpha1.CapabilityDispatchStatus {
	if Finished(status) || WithdrawnCondition(status) != nil {
		return status
	}
	phase := v1alpha1.DispatchDispatched
	if status.Phase == v1alpha1.DispatchAwaitingLocalMediation {
		phase = status.Phase
	}
	next := moveToPhase(status, phase, gateway, now)
	meta.SetStatusCondition(&next.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionWithdrawn, Status: metav1.ConditionTrue,
		Reason: code, Message: cleanLine(message, maxErrorChars), LastTransitionTime: metav1.NewTime(now),
	})
	return next
}

// WithdrawnCondition returns the condition Withdrawn; nil when the dispatch was not withdrawn.
func WithdrawnCondition(status v1alpha1.CapabilityDispatchStatus) *metav1.Condition {
	if c := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionWithdrawn); c != nil && c.Status == metav1.ConditionTrue {
		return c
	}
	return nil
}

// FinishUnconfirmed ends a withdrawn dispatch whose machine did not confirm the cancellation, so it
// may have run.
func FinishUnconfirmed(status v1alpha1.CapabilityDispatchStatus, now time.Time) v1alpha1.CapabilityDispatchStatus {
	c := WithdrawnCondition(status)
	if Finished(status) || c == nil {
		return status
	}
	return finishStatus(status, terminalOutcome{v1alpha1.DispatchFailed, v1alpha1.ExecutionUnknown, c.Reason,
		cleanText(c.Message+"; the machine did not confirm the cancellation: it may have run", maxErrorChars)}, now)
}

// withdrawnOutcome replaces the end of a withdrawn dispatch that its machine cancelled by the
// reason of the withdrawal. A run that ended in any other way keeps its own end.
func withdrawnOutcome(status v1alpha1.CapabilityDispatchStatus, e terminalOutcome) terminalOutcome {
	c := WithdrawnCondition(status)
	if c == nil || e.phase != v1alpha1.DispatchCancelled {
		return e
	}
	return terminalOutcome{v1alpha1.DispatchRejected, e.execution, c.Reason, c.Message}
}
