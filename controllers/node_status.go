package controllers

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// fingerprintShortChars is the length of the fingerprint that users are shown.
const fingerprintShortChars = 12

// nodeView is the part of Node.status that the Node reconciler owns, as it should be.
type nodeView struct {
	// status holds every field of FieldManagerController.
	status v1alpha1.NodeStatus
	// requeueAfter is the time after which the view changes without an event; zero if it does not.
	requeueAfter time.Duration
}

// firstSessionGrace is how long a machine usually takes from its Node to its first session.
const firstSessionGrace = 3 * time.Second

// maxClockLag is the usual maximum by which a clock is behind the clock of the API server.
const maxClockLag = 2 * time.Second

// initialGrace returns how long to wait before reporting that the machine of a Node is absent. A
// new Node changes often for a moment, and its creation status is valid until then.
func initialGrace(node *v1alpha1.Node, now time.Time) time.Duration {
	if node.Status.SessionStartedTime != nil || node.Spec.DesiredState != v1alpha1.NodeActive {
		return 0
	}
	wait := node.CreationTimestamp.Add(firstSessionGrace).Sub(now)
	if wait > firstSessionGrace+maxClockLag {
		return 0 // the clock of this process is far behind the API server's
	}
	return wait
}

// newNodeView returns the controller's view of a Node: trust and readiness always, presence only
// without a live session (the gateway owns presence during one).
func newNodeView(node *v1alpha1.Node, now time.Time, staleAfter time.Duration) nodeView {
	view := nodeView{}
	view.status.FingerprintShort = node.Spec.PublicKeySHA256[:min(len(node.Spec.PublicKeySHA256), fingerprintShortChars)]
	var expires time.Time
	view.status.Trust, expires = trustOf(node, now)
	if expires.After(now) {
		view.requeueAfter = expires.Sub(now)
	}
	presence := node.Status.Presence
	if !dispatch.SessionOf(node).Live() {
		view.fillWithoutSession(node, now, staleAfter)
		presence = view.status.Presence
	}
	view.status.Conditions = append(view.status.Conditions,
		withTransition(node.Status.Conditions, readyCondition(node, view.status.Trust, presence), now))
	if review, ok := reviewCondition(node); ok {
		view.status.Conditions = append(view.status.Conditions, withTransition(node.Status.Conditions, review, now))
	}
	return view
}

// fillWithoutSession fills in the fields that the controller owns once a session has ended.
func (v *nodeView) fillWithoutSession(node *v1alpha1.Node, now time.Time, staleAfter time.Duration) {
	session := dispatch.SessionOf(node)
	connected := metav1.Condition{
		Type: v1alpha1.ConditionConnected, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonNeverConnected, Message: "no session was recorded yet",
	}
	v.status.Presence = v1alpha1.PresenceOffline
	if session.Started != nil {
		ended := session.Ended
		v.status.SessionEndedTime = ended
		connected.Reason, connected.Message = v1alpha1.ReasonSessionEnded, "the session ended"
		if remaining := ended.Add(staleAfter).Sub(now); remaining > 0 {
			v.status.Presence = v1alpha1.PresenceStale
			v.requeueWithin(remaining)
		}
	}
	// The writer of the session's end recorded a more exact reason.
	for _, condition := range node.Status.Conditions {
		if condition.Type == connected.Type && condition.Status == connected.Status {
			connected.Reason, connected.Message = condition.Reason, condition.Message
		}
	}
	v.status.Since = node.Status.Since
	if node.Status.Presence != v.status.Presence || v.status.Since == nil {
		since := metav1.NewTime(now.Truncate(time.Second))
		v.status.Since = &since
	}
	v.status.Conditions = append(v.status.Conditions, withTransition(node.Status.Conditions, connected, now))
}

// fillProvenSpec fills in which fields of the spec are proven.
func (v *nodeView) fillProvenSpec(node *v1alpha1.Node, record *v1alpha1.ProvenSpec, now time.Time) {
	v.status.ProvenSpec = record
	if unproven, ok := unprovenCondition(node, record); ok {
		v.status.Conditions = append(v.status.Conditions, withTransition(node.Status.Conditions, unproven, now))
	}
}

func (v *nodeView) requeueWithin(after time.Duration) {
	if v.requeueAfter == 0 || after < v.requeueAfter {
		v.requeueAfter = after
	}
}

// trustOf returns the trust in the identity of a Node, and the time until which it is valid.
func trustOf(node *v1alpha1.Node, now time.Time) (v1alpha1.NodeTrust, time.Time) {
	expires, issued := certificateEnd(node)
	switch {
	case node.Spec.DesiredState == v1alpha1.NodeRevoked:
		return v1alpha1.TrustRevoked, time.Time{}
	case !issued:
		return v1alpha1.TrustPending, time.Time{}
	case !now.Before(expires):
		return v1alpha1.TrustExpired, time.Time{}
	case node.Spec.DesiredState == v1alpha1.NodeSuspended:
		return v1alpha1.TrustSuspended, expires
	default:
		return v1alpha1.TrustTrusted, expires
	}
}

// certificateEnd returns the latest expiry of the certificates whose key is admitted now.
func certificateEnd(node *v1alpha1.Node) (end time.Time, issued bool) {
	for _, c := range node.Status.CertificateHistory {
		admitted := c.PublicKeySHA256 == node.Spec.PublicKeySHA256 ||
			(c.PublicKeySHA256 != "" && c.PublicKeySHA256 == node.Spec.NextPublicKeySHA256)
		if admitted && c.NotAfter != nil && (!issued || c.NotAfter.After(end)) {
			end, issued = c.NotAfter.Time, true
		}
	}
	return end, issued
}

// readyCondition summarizes the Node: Active, Trusted and reachable.
func readyCondition(node *v1alpha1.Node, trust v1alpha1.NodeTrust, presence v1alpha1.NodePresence) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, ObservedGeneration: node.Generation}
	online := presence == v1alpha1.PresenceOnline || presence == v1alpha1.PresenceDegraded
	switch {
	case trust == v1alpha1.TrustRevoked:
		c.Reason, c.Message = v1alpha1.ErrorNodeRevoked, "the Node is revoked: delete it and pair the machine again to use it"
	case trust == v1alpha1.TrustPending:
		c.Reason, c.Message = v1alpha1.ReasonCertificatePending, "the machine has no certificate yet"
	case trust == v1alpha1.TrustExpired:
		c.Reason, c.Message = v1alpha1.ReasonCertificateExpired, "the certificate expired: the agent recovers it by itself within 30 days when it reaches a gateway"
	case trust == v1alpha1.TrustSuspended:
		c.Reason, c.Message = v1alpha1.ReasonNodeSuspended, "nothing is delivered: set spec.desiredState to Active to resume"
	case !online:
		c.Reason, c.Message = v1alpha1.ReasonOffline, fmt.Sprintf("the machine is %s: dispatches wait for it", presence)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, v1alpha1.ReasonReady, "the Node accepts dispatches"
	}
	return c
}

// reviewCondition is present while the agent declares capabilities that the policy neither allows
// nor denies by name: a person may want to decide.
func reviewCondition(node *v1alpha1.Node) (metav1.Condition, bool) {
	var undecided []string
	for _, c := range node.Status.Capabilities {
		policy := node.Spec.CapabilityPolicy
		denied := dispatch.Granted(v1alpha1.CapabilityPolicy{Allow: policy.Deny}, c.Name)
		if !denied && !dispatch.Granted(policy, c.Name) {
			undecided = append(undecided, c.Name)
		}
	}
	if len(undecided) == 0 {
		return metav1.Condition{}, false
	}
	slices.Sort(undecided)
	shown := undecided[:min(len(undecided), 10)]
	return metav1.Condition{
		Type: v1alpha1.ConditionCapabilityReviewRequired, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonCapabilitiesNotGranted, ObservedGeneration: node.Generation,
		Message: fmt.Sprintf("the agent offers %d capabilities that are neither allowed nor denied: %v; add them to spec.capabilityPolicy", len(undecided), shown),
	}, true
}
