package dispatch

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/mooring-dev/mooring/api/v1alpha1"
	"github.com/mooring-dev/mooring/internal/jsontext"
)

// SpecProven reports whether the keys and the capabilityPolicy of a Node are those that the
// controller saw while the admission policies were proven. A Node without such a record is new, or
// belongs to a controller that keeps none.
func SpecProven(node *v1alpha1.Node) bool {
	proven := node.Status.ProvenSpec
	return proven == nil || (proven.KeysSHA256 == KeysSHA256(node.Spec) &&
		proven.CapabilityPolicySHA256 == CapabilityPolicySHA256(node.Spec.CapabilityPolicy))
}

// KeysSHA256 returns a hash of the fields of a Node's spec that need the verb rekey.
func KeysSHA256(spec v1alpha1.NodeSpec) string {
	return hashOf([]any{spec.PublicKeySHA256, spec.NextPublicKeySHA256, spec.PairingRequestUID, spec.ServiceAccount})
}

// CapabilityPolicySHA256 returns a hash of a capabilityPolicy.
func CapabilityPolicySHA256(policy v1alpha1.CapabilityPolicy) string {
	return hashOf([]any{slices.Concat(policy.Allow), slices.Concat(policy.Deny)}) // Concat returns nil for an empty list
}

// hashOf returns the SHA-256 of the JSON of a value, in lower-case hex digits.
func hashOf(value any) string {
	text, err := jsontext.Marshal(value)
	if err != nil {
		return "" // never happens with our types; an empty hash is never proven
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
