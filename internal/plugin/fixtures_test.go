package plugin

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/pairing"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

const fingerprint = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// pendingRequest returns a PairingRequest that waits for a decision.
func pendingRequest(name string, change ...func(*v1alpha1.PairingRequest)) *v1alpha1.PairingRequest {
	r := &v1alpha1.PairingRequest{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "workshop", UID: "uid-1", ResourceVersion: "7"},
		Spec: v1alpha1.PairingRequestSpec{
			NodeName: "press-3", PublicKeySHA256: fingerprint, VerificationCode: pairing.VerificationCode(fingerprint),
			Method: v1alpha1.PairingMethodPIN, CodeName: "code-x1", CodeIssuedBy: "ida",
			System:                &v1alpha1.SystemInfo{Platform: "linux/amd64", OSImage: "Debian GNU/Linux 12", Hostname: "press-3.lan"},
			RequestedCapabilities: []string{"system.health", "echo"},
			ExpiresTime:           metav1.NewTime(noon.Add(58 * time.Minute)),
		},
		Status: v1alpha1.PairingRequestStatus{Phase: v1alpha1.PairingRequestPending},
	}
	for _, c := range change {
		c(r)
	}
	return r
}

// onlineNode returns an online Node with one granted and one ungranted capability.
func onlineNode(name string, change ...func(*v1alpha1.Node)) *v1alpha1.Node {
	since := metav1.NewTime(noon.Add(-3 * time.Minute))
	n := &v1alpha1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "workshop", CreationTimestamp: metav1.NewTime(noon.Add(-49 * time.Hour))},
		Spec: v1alpha1.NodeSpec{
			PublicKeySHA256: fingerprint, DesiredState: v1alpha1.NodeActive,
			CapabilityPolicy: v1alpha1.CapabilityPolicy{Allow: []string{"echo", "camera.*"}},
		},
		Status: v1alpha1.NodeStatus{
			Presence: v1alpha1.PresenceOnline, Trust: v1alpha1.TrustTrusted, Since: &since, CapabilitySummary: "1/2",
			System: &v1alpha1.SystemInfo{Platform: "linux/arm64", AgentVersion: "v0.1.0"},
			Capabilities: []v1alpha1.NodeCapability{
				{Name: "echo", Available: true, Description: "returns its input"},
				{Name: "system.health", Available: true, Description: "load, memory, disk"},
				{Name: "camera.shot", Reason: "no camera", Mediation: v1alpha1.MediationLocal},
			},
		},
	}
	for _, c := range change {
		c(n)
	}
	return n
}
