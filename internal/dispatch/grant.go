package dispatch

import (
	"slices"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/capabilityname"
)

// Granted reports whether the policy of a Node allows requests for the capability: an entry of
// allow covers it and no entry of deny does.
func Granted(policy v1alpha1.CapabilityPolicy, capability string) bool {
	covers := func(entry string) bool { return capabilityname.Covers(entry, capability) }
	return slices.ContainsFunc(policy.Allow, covers) && !slices.ContainsFunc(policy.Deny, covers)
}
