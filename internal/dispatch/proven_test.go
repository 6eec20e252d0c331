package dispatch

import (
	"testing"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

func TestNothingIsOfferedWhileTheSpecIsNotTheProvenOne(t *testing.T) {
	d, node := queuedEcho(), node()
	declared := []v1alpha1.NodeCapability{{Name: d.Spec.Capability, Available: true}}
	offered := func() bool { return Admit(d, node, declared, d.CreationTimestamp.Time).Kind == VerdictOffer }
	if !offered() {
		t.Error("a Node without a record, as older controllers create it, gets no offer")
	}
	node.Status.ProvenSpec = &v1alpha1.ProvenSpec{KeysSHA256: KeysSHA256(node.Spec), CapabilityPolicySHA256: CapabilityPolicySHA256(node.Spec.CapabilityPolicy)}
	if !offered() {
		t.Error("a proven Node gets no offer")
	}
	node.Spec.CapabilityPolicy.Allow = append(node.Spec.CapabilityPolicy.Allow, "system.*")
	if offered() {
		t.Error("a widened capabilityPolicy is used before it is proven")
	}
	node.Status.ProvenSpec.CapabilityPolicySHA256 = CapabilityPolicySHA256(node.Spec.CapabilityPolicy)
	node.Spec.PublicKeySHA256 = "another"
	if offered() {
		t.Error("another key is used before it is proven")
	}
}
