package nodestatus

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
	"github.com/mooring-dev/mooring/internal/dispatch"
	"github.com/mooring-dev/mooring/internal/foreign"
)

// SkewLimit is the offset of a machine's clock from which a condition is set.
const SkewLimit = time.Minute

// Fields are the fields of Node.status that belong to FieldManagerSession, under their
// names in the API. Every apply carries all of them.
type Fields struct {
	Presence           v1alpha1.NodePresence     `json:"presence,omitempty"`
	Since              *metav1.Time              `json:"since,omitempty"`
	Gateway            string                    `json:"gateway,omitempty"`
	SessionID          string                    `json:"sessionID,omitempty"`
	SessionStartedTime *metav1.Time              `json:"sessionStartedTime,omitempty"`
	SessionEndedTime   *metav1.Time              `json:"sessionEndedTime,omitempty"`
	BootID             string                    `json:"bootID,omitempty"`
	JournalID          string                    `json:"journalID,omitempty"`
	DialCounter        int64                     `json:"dialCounter,omitempty"`
	RegisteredTime     *metav1.Time              `json:"registeredTime,omitempty"`
	LastConnectedTime  *metav1.Time              `json:"lastConnectedTime,omitempty"`
	LastHeartbeatTime  *metav1.Time              `json:"lastHeartbeatTime,omitempty"`
	LastEvent          *v1alpha1.NodeEvent       `json:"lastEvent,omitempty"`
	System             *v1alpha1.SystemInfo      `json:"system,omitempty"`
	Capabilities       []v1alpha1.NodeCapability `json:"capabilities,omitempty"`
	CapabilitySummary  string                    `json:"capabilitySummary,omitempty"`
	Certificate        *v1alpha1.CertificateInfo `json:"certificate,omitempty"`
	TrustBundleSHA256  string                    `json:"trustBundleSHA256,omitempty"`

	RevocationRequest *v1alpha1.NodeRevocationRequest `json:"revocationRequest,omitempty"`

	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// sessionConditions are the conditions of FieldManagerSession.
var sessionConditions = []string{
	v1alpha1.ConditionConnected, v1alpha1.ConditionClockSkew,
	v1alpha1.ConditionRevocationRequested, v1alpha1.ConditionSuspectedClone,
}

func isSessionCondition(conditionType string) bool {
	return slices.Contains(sessionConditions, conditionType)
}

// FieldsOf returns the fields of FieldManagerSession that are stored in node.
func FieldsOf(node *v1alpha1.Node) Fields {
	s := node.Status.DeepCopy()
	f := Fields{
		Presence: s.Presence, Since: s.Since, Gateway: s.Gateway, SessionID: s.SessionID,
		SessionStartedTime: s.SessionStartedTime, SessionEndedTime: s.SessionEndedTime,
		BootID: s.BootID, JournalID: s.JournalID, DialCounter: s.DialCounter,
		RegisteredTime: s.RegisteredTime, LastConnectedTime: s.LastConnectedTime,
		LastHeartbeatTime: s.LastHeartbeatTime, LastEvent: s.LastEvent, System: s.System,
		Capabilities: s.Capabilities, CapabilitySummary: s.CapabilitySummary,
		Certificate: s.Certificate, TrustBundleSHA256: s.TrustBundleSHA256,
		RevocationRequest: s.RevocationRequest,
	}
	for _, condition := range s.Conditions {
		if isSessionCondition(condition.Type) {
			f.Conditions = append(f.Conditions, condition)
		}
	}
	return f
}

// Facts holds everything that a session knows about its machine and needs to compose its fields.
// It is copied into the goroutine that writes them.
type Facts struct {
	Description
	Gateway, SessionID string
	Started            metav1.Time
	Ended              *metav1.Time
	JournalID          string
	DialCounter        int64
	Registered         metav1.Time
	LastMessage        metav1.Time
	LastEvent          v1alpha1.NodeEvent
	Certificate        *v1alpha1.CertificateInfo
	BundleSHA256       string
	// Skew is the offset of the machine's clock, positive if it is ahead.
	Skew time.Duration
	// CloneSuspected is true if a live session had another journal, until that is recorded.
	CloneSuspected bool
}

// WithoutDescription returns the facts without the description of the machine. A gateway made or checked all
// remaining facts, so the API server always accepts them.
func (f Facts) WithoutDescription() Facts {
	f.Description = Description{}
	f.Certificate, f.BundleSHA256 = nil, ""
	return f
}

// Compose returns the session's fields for node, built from the facts. It copies the stored
// fields that must survive (the begin of a state, a request for revocation) from node.
func (f Facts) Compose(node *v1alpha1.Node, now metav1.Time) Fields {
	capabilities, available, granted := effectiveCapabilities(f.Declared, node.Spec.CapabilityPolicy)
	next := Fields{
		Presence: v1alpha1.PresenceOnline, Since: node.Status.Since,
		Gateway: f.Gateway, SessionID: f.SessionID,
		SessionStartedTime: &f.Started, SessionEndedTime: f.Ended,
		BootID: f.BootID, JournalID: f.JournalID, DialCounter: f.DialCounter,
		RegisteredTime: &f.Registered, LastConnectedTime: &f.Started, LastHeartbeatTime: &f.LastMessage,
		LastEvent: &f.LastEvent, System: f.System, Capabilities: capabilities,
		CapabilitySummary: fmt.Sprintf("%d/%d", available, granted),
		Certificate:       f.Certificate, TrustBundleSHA256: f.BundleSHA256,
		RevocationRequest: node.Status.RevocationRequest, Conditions: FieldsOf(node).Conditions,
	}
	connected := metav1.Condition{Type: v1alpha1.ConditionConnected, Status: metav1.ConditionTrue,
		Reason: v1alpha1.ReasonSessionStarted, Message: "A session is open with gateway " + f.Gateway + "."}
	switch {
	case f.Ended != nil:
		next.Presence = v1alpha1.PresenceStale
		connected.Status, connected.Reason = metav1.ConditionFalse, f.LastEvent.Name
		connected.Message = "The session with gateway " + f.Gateway + " ended."
	case available < granted:
		next.Presence = v1alpha1.PresenceDegraded
		connected.Message += " " + degradedMessage(capabilities, node.Spec.CapabilityPolicy)
	}
	if next.Presence != node.Status.Presence || next.Since == nil {
		next.Since = &now
	}
	SetCondition(&next.Conditions, connected, now)
	next.setSkew(f.Skew, now)
	next.expireSuspectedClone(now)
	if f.CloneSuspected {
		next.SetSuspectedClone(v1alpha1.ReasonJournalChanged,
			"A session with another journal was open under the same identity: check that the identity directory was not copied to a second machine.", now)
	}
	return next
}

func (f *Fields) setSkew(skew time.Duration, now metav1.Time) {
	if skew.Abs() < SkewLimit {
		meta.RemoveStatusCondition(&f.Conditions, v1alpha1.ConditionClockSkew)
		return
	}
	direction := "ahead of"
	if skew < 0 {
		direction = "behind"
	}
	SetCondition(&f.Conditions, metav1.Condition{Type: v1alpha1.ConditionClockSkew, Status: metav1.ConditionTrue,
		Reason:  v1alpha1.ReasonClockSkewed,
		Message: fmt.Sprintf("The clock of the machine is about %s %s the cluster's; set it, or run a time service.", skew.Abs().Round(time.Minute), direction)}, now)
}

// SetCondition calls meta.SetStatusCondition with the API server's time. It turns the message into
// one line without unsafe characters.
func SetCondition(list *[]metav1.Condition, condition metav1.Condition, now metav1.Time) {
	condition.LastTransitionTime, condition.Message = now, foreign.CleanLine(condition.Message)
	meta.SetStatusCondition(list, condition)
}

// effectiveCapabilities restricts the declared capabilities to the policy, and counts the granted
// and the available ones. A capability that is granted by its full name but not declared counts as
// granted.
func effectiveCapabilities(declared []v1alpha1.NodeCapability, policy v1alpha1.CapabilityPolicy) (list []v1alpha1.NodeCapability, available, granted int) {
	seen := map[string]bool{}
	for _, capability := range declared {
		seen[capability.Name] = true
		switch {
		case !dispatch.Granted(policy, capability.Name):
			capability.Available, capability.Reason = false, v1alpha1.ErrorNotGranted
		case capability.Available:
			available++
			granted++
		default:
			granted++
		}
		list = append(list, capability)
	}
	for _, name := range policy.Allow {
		if !seen[name] && !capabilityname.IsFamily(name) && dispatch.Granted(policy, name) {
			granted++
		}
	}
	return list, available, granted
}

// SameFields reports whether a and b are equal except for the time of the last heartbeat.
func SameFields(a, b Fields) bool {
	a.LastHeartbeatTime = b.LastHeartbeatTime
	return equality.Semantic.DeepEqual(a, b)
}
