package dispatch

import (
	"slices"
	"strings"

	"github.com/mooring-dev/mooring/api/v1alpha1"
)

// Granted reports whether the policy of a Node allows requests for the capability: an entry of
// allow matches and no entry of deny does. An entry is a full name or a prefix followed by ".*".
func Granted(policy v1alpha1.CapabilityPolicy, capability string) bool {
	matches := func(entry string) bool {
		if prefix, ok := strings.CutSuffix(entry, "*"); ok {
			return strings.HasSuffix(prefix, ".") && strings.HasPrefix(capability, prefix)
		}
		return entry == capability
	}
	return slices.ContainsFunc(policy.Allow, matches) && !slices.ContainsFunc(policy.Deny, matches)
}

// RoleNames returns the resource names in a Role that permit its user to invoke a capability. These
// are the full name and the family, which is the first segment followed by ".*". A name without a
// dot has no family: as in the policy of a Node, system.* matches system.health and not system.
func RoleNames(capability string) []string {
	family, _, dotted := strings.Cut(capability, ".")
	if !dotted {
		return []string{capability}
	}
	return []string{capability, family + ".*"}
}
