// Package nodestatus computes the part of Node.status that the controller owns.
package nodestatus

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/controllers/proof"
	"github.com/mooring-dev/mooring/controllers/status"
	"github.com/mooring-dev/mooring/internal/dispatch"
)

// fingerprintShortChars is the length of the fingerprint that users are shown.
const fingerprintShortChars = 12

// View is the part of Node.status that the Node reconciler owns, as it should be.
type View struct {
	// Status holds every field of FieldManagerController.
	Status v1alpha1.NodeStatus
	// RequeueAfter is the time after which the view changes without an event; zero if it does not.
	RequeueAfter time.Duration
}

// firstSessionGrace is how long a machine usually takes from its Node to its first session.
const firstSessionGrace = 3 * time.Second

// maxClockLag is the usual maximum by which a clock is behind the clock of the API server.
const maxClockLag = 2 * time.Second

// InitialGrace returns how long to wait before reporting that the machine of a Node is absent. A
// new Node changes often for a moment, and its creation status is valid until then.
func InitialGrace(node *v1alpha1.Node, now time.Time) time.Duration {
	if node.Status.SessionStartedTime != nil || node.Spec.DesiredState != v1alpha1.NodeActive {
		return 0
	}
	wait := node.CreationTimestamp.Add(firstSessionGrace).Sub(now)
	if wait > firstSessionGrace+maxClockLag {
		return 0 // the clock of this process is far behind the API server's
	}
	return wait
}

// NewView returns the controller's view of a Node: trust and readiness always, presence only
// without a live session (the gateway owns presence during one).
func NewView(node *v1alpha1.Node, now time.Time, staleAfter time.Duration) View {
	view := View{}
	view.Status.FingerprintShort = node.Spec.PublicKeySHA256[:min(len(node.Spec.PublicKeySHA256), fingerprintShortChars)]
	var expires time.Time
	view.Status.Trust, expires = trustOf(node, now)
	if expires.After(now) {
		view.RequeueAfter = expires.Sub(now)
	}
	presence := node.Status.Presence
	if !dispatch.SessionOf(node).Live() {
		view.fillWithoutSession(node, now, staleAfter)
		presence = view.Status.Presence
	}
	view.Status.Conditions = append(view.Status.Conditions,
		status.WithTransition(node.Status.Conditions, readyCondition(node, view.Status.Trust, presence), now))
	if review, ok := reviewCondition(node); ok {
		view.Status.Conditions = append(view.Status.Conditions, status.WithTransition(node.Status.Conditions, review, now))
	}
	return view
}

// fillWithoutSession fills in the fields that the controller owns once a session has ended.
func (v *View) fillWithoutSession(node *v1alpha1.Node, now time.Time, staleAfter time.Duration) {
	session := dispatch.SessionOf(node)
	connected := metav1.Condition{
		Type: v1alpha1.ConditionConnected, Status: metav1.ConditionFalse,
		Reason: v1alpha1.ReasonNeverConnected, Message: "no session was recorded yet",
	}
	v.Status.Presence = v1alpha1.PresenceOffline
	if session.Started != nil {
		ended := session.Ended
		v.Status.SessionEndedTime = ended
		connected.Reason, connected.Message = v1alpha1.ReasonSessionEnded, "the session ended"
		if remaining := ended.Add(staleAfter).Sub(now); remaining > 0 {
			v.Status.Presence = v1alpha1.PresenceStale
			v.RequeueWithin(remaining)
		}
	}
	// The writer of the session's end recorded a more exact reason.
	for _, condition := range node.Status.Conditions {
		if condition.Type == connected.Type && condition.Status == connected.Status {
			connected.Reason, connected.Message = condition.Reason, condition.Message
		}
	}
	v.Status.Since = node.Status.Since
	if node.Status.Presence != v.Status.Presence || v.Status.Since == nil {
		since := metav1.NewTime(now.Truncate(time.Second))
		v.Status.Since = &since
	}
	v.Status.Conditions = append(v.Status.Conditions, status.WithTransition(node.Status.Conditions, connected, now))
}

// FillProvenSpec fills in which fields of the spec are proven.
func (v *View) FillProvenSpec(node *v1alpha1.Node, record *v1alpha1.ProvenSpec, now time.Time) {
	v.Status.ProvenSpec = record
	if unproven, ok := proof.UnprovenCondition(node, record); ok {
		v.Status.Conditions = append(v.Status.Conditions, status.WithTransition(node.Status.Conditions, unproven, now))
	}
}

// RequeueWithin bounds the time until the next reconcile.
func (v *View) RequeueWithin(after time.Duration) {
	if v.RequeueAfter == 0 || after < v.RequeueAfter {
		v.RequeueAfter = after
	}
}

// trustOf returns the trust in the identity of a Node, and the time until which it is valid.
func trustOf(node *v1alpha1.Node, now time.Time) (v1alpha1.NodeTrust, time.Time) {
	expires, issued := CertificateEnd(node)
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

// CertificateEnd returns the latest expiry of the certificates whose key is admitted now.
func CertificateEnd(node *v1alpha1.Node) (end time.Time, issued bool) {
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

// UpToDate reports whether a status has every field that the view sets, and none of the
// conditions that the view omits.
func UpToDate(current, view v1alpha1.NodeStatus) bool {
	if current.Trust != view.Trust || current.FingerprintShort != view.FingerprintShort || !equality.Semantic.DeepEqual(current.ProvenSpec, view.ProvenSpec) {
		return false
	}
	if view.Presence == "" && current.SessionEndedTime != nil {
		return false // the controller removes the end of an older session
	}
	if view.Presence != "" && (current.Presence != view.Presence || !equality.Semantic.DeepEqual(current.Since, view.Since) ||
		!equality.Semantic.DeepEqual(current.SessionEndedTime, view.SessionEndedTime)) {
		return false
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionCapabilityReviewRequired, v1alpha1.ConditionSpecUnproven, v1alpha1.ConditionConnected} {
		want := meta.FindStatusCondition(view.Conditions, kind)
		if kind == v1alpha1.ConditionConnected && want == nil {
			continue // the gateway owns it
		}
		if !equality.Semantic.DeepEqual(meta.FindStatusCondition(current.Conditions, kind), want) {
			return false
		}
	}
	return true
}
