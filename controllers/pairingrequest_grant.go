package controllers

import (
	"slices"
	"strings"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// granted is what an approved machine may be asked to do: what the approver chose, or all it
// requested, within the limit of its code. Entries are names or prefixes followed by ".*".
func granted(spec v1alpha1.PairingRequestSpec, code v1alpha1.PairingCodeSpec) []string {
	wanted := spec.RequestedCapabilities
	if spec.Decision != nil && len(spec.Decision.Capabilities) > 0 {
		wanted = spec.Decision.Capabilities
	}
	if len(code.Capabilities) == 0 {
		return sortedSet(wanted)
	}
	return intersection(wanted, code.Capabilities)
}

// inherited is what a machine that takes over a Node may be asked to do: what the Node allowed,
// within the grant when the approver or the code named capabilities. It never widens.
func inherited(allow []string, spec v1alpha1.PairingRequestSpec, code v1alpha1.PairingCodeSpec) []string {
	chosen := spec.Decision != nil && len(spec.Decision.Capabilities) > 0
	if !chosen && len(code.Capabilities) == 0 {
		return allow
	}
	return intersection(allow, granted(spec, code))
}

// intersection is what both lists allow: of two entries that overlap, the narrower one.
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

// covers reports whether whatever the entry inner allows, outer allows too.
func covers(outer, inner string) bool {
	if prefix, ok := strings.CutSuffix(outer, "*"); ok && strings.HasSuffix(prefix, ".") {
		return strings.HasPrefix(inner, prefix)
	}
	return outer == inner
}

// maxGrants is how many entries a Node's policy may have; only limits and requests that are
// both of that size can meet in more, and then less is granted, never more.
const maxGrants = 256

func sortedSet(entries []string) []string {
	set := slices.Compact(slices.Sorted(slices.Values(entries)))
	return set[:min(len(set), maxGrants)]
}
