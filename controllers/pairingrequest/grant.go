package pairingrequest

import (
	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
)

// grantedCapabilities returns the capabilities that an approved machine gets: those that the
// approver chose, or all that it requested, within the limit of its code.
func grantedCapabilities(spec v1alpha1.PairingRequestSpec, code v1alpha1.PairingCodeSpec) []string {
	requested := spec.RequestedCapabilities
	if spec.Decision != nil && len(spec.Decision.Capabilities) > 0 {
		requested = spec.Decision.Capabilities
	}
	if len(code.Capabilities) == 0 {
		return capabilityname.SortedSet(requested)
	}
	return capabilityname.Intersect(requested, code.Capabilities)
}

// inheritedCapabilities returns the capabilities of a machine that takes over a Node. They are
// those that the Node allowed, within the grant if the approver or the code named capabilities. The
// result never has more.
func inheritedCapabilities(allow []string, spec v1alpha1.PairingRequestSpec, code v1alpha1.PairingCodeSpec) []string {
	chosen := spec.Decision != nil && len(spec.Decision.Capabilities) > 0
	if !chosen && len(code.Capabilities) == 0 {
		return allow
	}
	return capabilityname.Intersect(allow, grantedCapabilities(spec, code))
}
