package controllers

import (
	"slices"
	"strings"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// grantedCapabilities returns the capabilities that an approved machine gets: those that the
// approver chose, or all that it requested, within the limit of its code. Entries are names or
// prefixes followed by ".*".
func grantedCapabilities(spec v1alpha1.PairingRequestSpec, code v1alpha1.PairingCodeSpec) []string {
	requested := spec.RequestedCapabilities
	if spec.Decision != nil && len(spec.Decision.Capabilities) > 0 {
		requested = spec.Decision.Capabilities
	}
	if len(code.Capabilities) == 0 {
		return sortedSet(requested)
	}
	return intersection(requested, code.Capabilities)
}

// inheritedCapabilities returns the capabilities of a machine that takes over a Node. They are
// those that the Node allowed, within the grant if the approver or the code named capabilities. The
// result never has more.
func inheritedCapabilities(allow []string, spec v1alpha1.PairingRequestSpec, code v1alpha1.PairingCodeSpec) []string {
	chosen := spec.Decision != nil && len(spec.Decision.Capabilities) > 0
	if !chosen && len(code.Capabilities) == 0 {
		return allow
	}
	return intersection(allow, grantedCapabilities(spec, code))
}

// intersection returns the entries that both lists allow: of two overlapping entries, the narrower
// one.
func intersection(wanted, limits []string) []string {
	var both []string
	for _, want := range wanted {
		for _, limit := range limits {
			switch {
			case covers(limit, want):
				both = append(both, want)
			case covers(want, limit):
				both = append(both, limit)
			}
		}
	}
	return sortedSet(both)
}

// covers reports whether the entry outer allows everything that the entry inner allows.
func covers(outer, inner string) bool {
	if prefix, ok := strings.CutSuffix(outer, "*"); ok && strings.HasSuffix(prefix, ".") {
		return strings.HasPrefix(inner, prefix)
	}
	return outer == inner
}

// maxGrants is the maximum number of entries in a Node's policy. Only limits and requests of that
// size can intersect in more entries; then the grant has fewer, never more.
const maxGrants = 256

func sortedSet(entries []string) []string {
	set := slices.Compact(slices.Sorted(slices.Values(entries)))
	return set[:min(len(set), maxGrants)]
}
